//! What of a loss, a distance, a miner, a reducer and the data goes together.

use super::table::{LossKind, LossSettings};
use crate::{
    Distance, MetricError, Reducer,
    losses::{Evidence, class},
    miner::Miner,
};

impl LossSettings {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        match self.kind() {
            LossKind::Pair(loss) => loss.validate(),
            LossKind::Views(loss) => {
                if matches!(loss.reducer(), Reducer::ClassWeighted { .. }) {
                    return Err(MetricError::Settings("a loss without labels has no classes to weigh: take `mean`"));
                }
                loss.validate()
            }
            LossKind::Gaps(loss) => loss.validate(),
            LossKind::Manifold(loss) => loss.validate(),
            LossKind::Class(loss) => {
                if *loss.reducer() == Reducer::Divisor && !loss.gives_divisor() {
                    return Err(MetricError::NoDivisor);
                }
                loss.validate()
            }
        }
    }

    /// Whether it learns from class labels.
    pub fn uses_labels(&self) -> bool {
        !matches!(self.kind(), LossKind::Views(_))
    }

    /// The least that it must be told about images.
    pub fn evidence(&self) -> Evidence {
        match self.kind() {
            LossKind::Pair(loss) => loss.evidence(),
            LossKind::Gaps(_) => Evidence::Triplets,
            LossKind::Class(_) | LossKind::Views(_) | LossKind::Manifold(_) => Evidence::Classes,
        }
    }

    /// The distance that it and its miner use: the chosen one, or its own.
    pub(super) fn distance(&self, chosen: Option<Distance>) -> Distance {
        chosen.unwrap_or_else(|| match self.kind() {
            LossKind::Pair(loss) | LossKind::Views(loss) => loss.default_distance(),
            LossKind::Gaps(loss) => loss.default_distance(),
            LossKind::Class(_) | LossKind::Manifold(_) => Distance::default(),
        })
    }

    /// Checks the settings, and that loss, distance and miner go together.
    ///
    /// # Errors
    /// Names what is out of range, or what does not go with what, and what to take.
    pub fn check(&self, distance: Option<Distance>, miner: Option<&dyn Miner>) -> Result<(), MetricError> {
        self.validate()?;
        let on = self.distance(distance);
        on.validate()?;
        match self.kind() {
            LossKind::Pair(loss) | LossKind::Views(loss) => {
                loss.accepts(on)?;
                miner.map_or(Ok(()), |_| loss.accepts_tuples())?;
            }
            LossKind::Gaps(loss) => loss.accepts(on)?,
            LossKind::Class(_) if distance.is_some() && miner.is_none() => {
                return Err(MetricError::Settings(
                    "a loss with class weights has a distance of its own: `distance` is for its miner; leave it out",
                ));
            }
            LossKind::Class(_) => {}
            LossKind::Manifold(_) if distance.is_some() || miner.is_some() => {
                return Err(MetricError::Settings(
                    "the manifold loss compares all images by their cosine: leave `distance` and `miner` out",
                ));
            }
            LossKind::Manifold(_) => {}
        }
        let Some(miner) = miner else { return Ok(()) };
        miner.validate()?;
        miner.accepts(on)
    }

    /// Checks the loss against data of so many classes.
    ///
    /// # Errors
    /// When there are too few, or the reducer weighs more or fewer.
    pub fn check_classes(&self, classes: usize) -> Result<(), MetricError> {
        match self.kind() {
            LossKind::Pair(loss) => loss.reducer().validate_for(classes),
            LossKind::Views(_) | LossKind::Gaps(_) => Ok(()),
            LossKind::Manifold(_) => MetricError::check(classes >= 2, "classes", "at least 2", classes as f64),
            LossKind::Class(loss) => {
                class::check(&*loss, classes)?;
                loss.reducer().validate_for(classes)
            }
        }
    }
}
