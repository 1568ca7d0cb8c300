//! Methods with more than an encoder, on statements in place of classes.

use super::{Top, WeakLoss, WeakMethod, suffices};
use crate::{
    MetricError,
    losses::Evidence,
    methods::{DeepMahalanobis, LossSettings, SupConMethod, deep_mahalanobis::DISTANCE},
    weak::{Weak, WeakError, WeakKind},
};

impl SupConMethod {
    /// Checks the settings, and that the loss can learn from this kind of supervision: triplets, and pairs that make
    /// some.
    ///
    /// # Errors
    /// Names what is out of range, or what the loss lacks, and which loss to take.
    pub fn check_weak(&self, kind: WeakKind) -> Result<(), MetricError> {
        self.validate()?;
        if self.views != 1 {
            return Err(MetricError::Settings("statements are about images as they are: leave `views` at 1"));
        }
        suffices("supcon", Evidence::Triplets, kind)
    }

    /// The method for what was said about data of `rows` rows. Positives of an image are those that were said to belong
    /// with it, and its denominator holds besides them those that were said not to, and no other: an image of which
    /// nothing was said may be of its class.
    ///
    /// # Errors
    /// As [`SupConMethod::check_weak`], and when the statements do not fit the data or hold no image with one that is
    /// near and one that is far.
    pub fn weak(self, said: &Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        self.check_weak(said.kind())?;
        let top = self.projector.map_or(Top::Nothing, Top::Projector);
        WeakMethod::new("supcon", WeakLoss::SupCon(self.loss), None, top, said, rows)
    }
}

impl DeepMahalanobis {
    /// Checks the settings, and that the loss can learn from this kind of supervision: triplets, quadruplets, and pairs
    /// that make triplets.
    ///
    /// # Errors
    /// Names what is out of range, or what the loss lacks, and which loss to take.
    pub fn check_weak(&self, kind: WeakKind) -> Result<(), MetricError> {
        self.validate()?;
        if kind == WeakKind::Quadruplets {
            return self.loss.accepts_quadruplets();
        }
        suffices("deep_mahalanobis", Evidence::Triplets, kind)
    }

    /// The method for what was said about data of `rows` rows. Statements take the place of mining.
    ///
    /// # Errors
    /// As [`DeepMahalanobis::check_weak`], and when the statements do not fit the data or hold no image with one that
    /// is near and one that is far.
    pub fn weak(self, said: &Weak, rows: usize) -> Result<WeakMethod, WeakError> {
        self.check_weak(said.kind())?;
        let loss = WeakLoss::Table(LossSettings::TripletMargin(self.loss));
        let top = Top::Mahalanobis { penalty: self.penalty };
        WeakMethod::new("deep_mahalanobis", loss, Some(DISTANCE), top, said, rows)
    }
}
