//! Learning from whatever was said, in the form that a learner is made for.

use nearfar_core::matrix::Matrix;

use super::{Fitted, Itml, Lsml, Mmc, Rca, Scml, Sdml};
use crate::weak::{Weak, WeakError, WeakKind};

/// Learns a distance from rows and from statements of any kind that tells the learner enough.
///
/// | learner | its form | pairs | triplets, quadruplets | chunks |
/// |---|---|---|---|---|
/// | [`Itml`], [`Sdml`] | pairs | yes | near as same, far as different | as same pairs: the prior holds the rest |
/// | [`Mmc`] | pairs | yes | the same | no: it has nothing to put far apart |
/// | [`Lsml`] | quadruplets | joined at rows with both kinds | exact | no |
/// | [`Scml`] | triplets | joined at rows with both kinds | triplets; no quadruplets | no |
/// | [`Rca`] | chunks | by chains of same pairs | no | yes |
///
/// How one form is put as another stands at [`Weak::pairs`], [`Weak::triplets`], [`Weak::quadruplets`] and
/// [`Weak::chunks`]. Taking what is nearer as the same is a claim of its own: where classes overlap and triplets are
/// about rows of one class, take [`Scml`] or [`Lsml`].
pub trait WeakLearner {
    /// Checks that statements of this kind tell the learner enough.
    ///
    /// # Errors
    /// Names what they do not say.
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError>;

    /// Learns from rows `x`, `[n, d]`, and what was said about them.
    ///
    /// # Errors
    /// As [`WeakLearner::can_learn`], when the statements do not fit the rows or contradict each other, when they hold
    /// nothing of the form that is needed, and as the learner's own `fit_pairs` and the like.
    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError>;
}

impl WeakLearner for Itml {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        kind.gives(WeakKind::Pairs)
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        said.validate(x.rows())?;
        let given = said.pairs()?;
        Ok(self.fit_pairs(x, &given, None)?)
    }
}

impl WeakLearner for Sdml {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        kind.gives(WeakKind::Pairs)
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        said.validate(x.rows())?;
        let given = said.pairs()?;
        Ok(self.fit_pairs(x, &given)?)
    }
}

impl WeakLearner for Mmc {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        // Pairs of both kinds, as quadruplets have them.
        if kind == WeakKind::Chunks { kind.gives(WeakKind::Quadruplets) } else { Ok(()) }
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        self.can_learn(said.kind())?;
        said.validate(x.rows())?;
        let given = said.pairs()?;
        Ok(self.fit_pairs(x, &given)?)
    }
}

impl WeakLearner for Lsml {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        kind.gives(WeakKind::Quadruplets)
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        said.validate(x.rows())?;
        let given = said.quadruplets(self.seed)?;
        Ok(self.fit_quadruplets(x, &given, None)?)
    }
}

impl WeakLearner for Scml {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        kind.gives(WeakKind::Triplets)
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        said.validate(x.rows())?;
        let given = said.triplets(self.seed)?;
        Ok(self.fit_triplets(x, &given)?)
    }
}

impl WeakLearner for Rca {
    fn can_learn(&self, kind: WeakKind) -> Result<(), WeakError> {
        kind.gives(WeakKind::Chunks)
    }

    fn fit_weak(&self, x: &Matrix, said: &Weak) -> Result<Fitted, WeakError> {
        said.validate(x.rows())?;
        let given = said.chunks(x.rows())?;
        Ok(self.fit_chunks(x, &given)?)
    }
}
