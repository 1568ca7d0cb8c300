//! Scores of embeddings: does a representation retrieve, verify, classify, cluster and spread well?
//!
//! Everything here takes rows in host memory ([`nearfar_core::matrix::Matrix`], `[n, d]`) and class indices
//! (`&[usize]`) and knows no training method, so the same scores serve metric learning, contrastive learning, raw
//! pixels and features from elsewhere.
//!
//! | question | module | scores |
//! |---|---|---|
//! | which rows are nearest? | [`neighbors`] | exact neighbours in blocks |
//! | does the nearest row show the same class? | [`retrieval`](mod@retrieval) | recall at k, R-precision, MAP@R, MAP, MRR |
//! | do two rows show the same class? | [`verification`](mod@verification) | ROC area, equal error rate, TAR at FAR |
//! | what transfers without training? | [`knn`](mod@knn), [`few_shot`](mod@few_shot), [`prototypes`](mod@prototypes) | accuracy |
//! | what can a linear classifier read? | [`probe`] | accuracy, penalty chosen on validation rows |
//! | do clusters find the classes again? | [`clustering`](mod@clustering) | NMI, AMI |
//! | how is the space used? | [`geometry`], [`spectrum`] | alignment, uniformity, std, class separation, effective rank, rho |
//! | what does a picture of the rows look like? | [`tsne`](mod@tsne) | places in the plane |
//! | is a difference real? | [`stats`] | t intervals, bootstrap, paired tests, Holm, Friedman, permutations, power, few seeds |
//!
//! Definitions are those of pytorch-metric-learning unless a name says otherwise. Results do not depend on the number
//! of threads; ties go to the smaller index; bad input is an [`EvalError`], never a panic.
//!
//! ```
//! use nearfar_core::matrix::Matrix;
//! use nearfar_eval::{Distance, KnnConfig, knn, retrieval, verification};
//!
//! // Six rows on a circle, two classes.
//! let angles = [0.0f32, 0.2, 0.3, 2.0, 2.1, 2.4];
//! let rows = Matrix::from_fn(6, 2, |i, j| if j == 0 { angles[i].cos() } else { angles[i].sin() });
//! let labels = [0, 0, 0, 1, 1, 1];
//!
//! let found = retrieval(&rows, &labels, None, Distance::Cosine, &[1, 2])?;
//! assert_eq!((found.recall_at[0], found.map_at_r), ((1, 1.0), 1.0));
//! assert_eq!(verification(&rows, &labels, Distance::Cosine)?.roc_auc, 1.0);
//! let config = KnnConfig { k: 3, ..KnnConfig::default() };
//! assert_eq!(knn((&rows, &labels), (&rows, &labels), &config)?.accuracy, 1.0);
//! # Ok::<(), nearfar_eval::EvalError>(())
//! ```

pub mod agreement;
pub mod clustering;
pub mod error;
pub mod few_shot;
#[cfg(test)]
mod fixtures;
pub mod geometry;
pub mod kmeans;
pub mod knn;
mod labels;
pub mod neighbors;
pub mod probe;
mod product;
pub mod prototypes;
mod ranking;
pub mod retrieval;
mod rows;
pub mod spectrum;
pub mod stats;
pub mod tsne;
pub mod verification;

pub use agreement::{adjusted_mutual_information, normalized_mutual_information};
pub use clustering::{Clustering, clustering};
pub use error::EvalError;
pub use few_shot::{FewShot, FewShotConfig, few_shot};
pub use geometry::{alignment, class_separation, intra_inter_ratio, label_alignment, std_of_normalized, uniformity};
pub use kmeans::{KMeans, KMeansConfig, kmeans};
pub use knn::{Knn, KnnConfig, knn, knn_hits, knn_predict};
pub use neighbors::{Distance, Neighbors, nearest};
pub use probe::{LinearProbe, ProbeConfig, ProbeFit, linear_probe};
pub use prototypes::{Prototypes, prototypes};
pub use retrieval::{PerQuery, RetrievalScores, retrieval, retrieval_per_query};
pub use spectrum::{effective_rank, rho_spectrum, singular_values};
pub use tsne::{Tsne, TsneConfig, tsne};
pub use verification::{Verification, verification, verification_from_scores};
