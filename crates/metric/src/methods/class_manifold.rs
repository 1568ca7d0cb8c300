use crate::{MetricError, losses::Manifold};
use serde::{Deserialize, Serialize};

/// The [`Manifold`] loss with class labels, as the training loop has it: one proxy a class, given to all its images. So
/// there is no number of proxies to set; it comes with the data.
///
/// The paper gives proxies to clusters of images without labels, anew for every member of an ensemble. Here the classes
/// are the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassManifold {
    /// As [`Manifold::context`].
    pub context: f64,
    /// As [`Manifold::alpha`].
    pub alpha: f64,
    /// As [`Manifold::margin`].
    pub margin: f64,
}

impl Default for ClassManifold {
    fn default() -> Self {
        let Manifold { context, alpha, margin, .. } = Manifold::default();
        Self { context, alpha, margin }
    }
}

impl ClassManifold {
    /// The loss with a proxy for each of `classes` classes.
    pub fn with_classes(self, classes: usize) -> Manifold {
        let Self { context, alpha, margin } = self;
        Manifold { proxies: classes, context, alpha, margin }
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), MetricError> {
        self.with_classes(2).validate()
    }
}
