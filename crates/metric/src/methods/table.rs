//! The losses and miners that can be asked for by name, one line each.

use super::ClassManifold;
use crate::{
    MetricError,
    losses::{
        Angular, Circle, Contrastive, DynamicSoftMargin, FastAp, GeneralizedLiftedStructure, Histogram, Instance,
        IntraPairVariance, LiftedStructure, Margin, MultiSimilarity, NPairs, NcaLoss, NtXent, PairLoss, Pnp,
        RankedList, SnrContrastive, ThresholdConsistentMargin, TripletMargin, TupletMargin,
        class::{
            ArcFace, ClassLoss, CosFace, LargeMarginSoftmax, NormalizedSoftmax, P2sGrad, ProxyAnchor, ProxyNca,
            SoftTriple, SphereFace, SubCenterArcFace,
        },
    },
    miner::{
        AngularMiner, BatchEasyHardMiner, BatchHardMiner, DistanceWeightedMiner, HdcMiner, Miner, MultiSimilarityMiner,
        NHardMiner, PairMarginMiner, TripletMarginMiner, UniformHistogramMiner,
    },
};
use nearfar_core::backend::did_you_mean;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a loss compares embeddings with.
#[derive(Debug)]
pub enum LossKind<'a> {
    /// With each other.
    Pair(&'a dyn PairLoss),
    /// With trained class weights.
    Class(Arc<dyn ClassLoss>),
    /// One view of each image with the views of all: without labels.
    Views(&'a dyn PairLoss),
    /// With each other, and triplets with those of earlier batches.
    Gaps(&'a DynamicSoftMargin),
    /// With trained proxies, one a class, on a graph of both.
    Manifold(&'a ClassManifold),
}

macro_rules! losses {
    (
        pair { $($pair:ident($pair_settings:ty) = $pair_name:literal, $pair_line:literal;)* }
        class { $($class:ident($class_settings:ty) = $class_name:literal, $class_line:literal;)* }
        own { $($own:ident($own_settings:ty) = $own_name:literal, $own_line:literal => $kind:ident;)* }
    ) => {
        /// The settings of any loss, tagged by its `name`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum LossSettings {
            $(
                #[doc = $pair_line]
                #[serde(rename = $pair_name)]
                $pair($pair_settings),
            )*
            $(
                #[doc = $class_line]
                #[serde(rename = $class_name)]
                $class($class_settings),
            )*
            $(
                #[doc = $own_line]
                #[serde(rename = $own_name)]
                $own($own_settings),
            )*
        }

        impl LossSettings {
            /// Every name with its line.
            pub const LISTING: &'static [(&'static str, &'static str)] =
                &[$(($pair_name, $pair_line),)* $(($class_name, $class_line),)* $(($own_name, $own_line),)*];

            /// The loss of that name with its default settings.
            ///
            /// # Errors
            /// When there is none; the message has the nearest.
            pub fn parse(name: &str) -> Result<Self, MetricError> {
                match name {
                    $($pair_name => Ok(Self::$pair(<$pair_settings>::default())),)*
                    $($class_name => Ok(Self::$class(<$class_settings>::default())),)*
                    $($own_name => Ok(Self::$own(<$own_settings>::default())),)*
                    _ => Err(unknown("loss", name, Self::LISTING)),
                }
            }

            /// Its name and one line about it.
            pub fn describe(&self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$pair(_) => ($pair_name, $pair_line),)*
                    $(Self::$class(_) => ($class_name, $class_line),)*
                    $(Self::$own(_) => ($own_name, $own_line),)*
                }
            }

            /// The loss itself.
            pub fn kind(&self) -> LossKind<'_> {
                match self {
                    $(Self::$pair(loss) => LossKind::Pair(loss),)*
                    $(Self::$class(loss) => LossKind::Class(Arc::new(loss.clone())),)*
                    $(Self::$own(loss) => LossKind::$kind(loss),)*
                }
            }
        }
    };
}

losses! {
    pair {
        Contrastive(Contrastive) = "contrastive", "hinges on the distances of pairs";
        TripletMargin(TripletMargin) = "triplet_margin", "a hinge on the gap of triplets";
        Margin(Margin) = "margin", "hinges around a boundary between positives and negatives";
        MultiSimilarity(MultiSimilarity) = "multi_similarity", "soft sums over the pairs of an anchor";
        NtXent(NtXent) = "ntxent", "cross-entropy of each positive against the negatives";
        Nca(NcaLoss) = "nca_loss", "likelihood that a stochastic neighbour is of the class";
        NPairs(NPairs) = "npairs", "cross-entropy over one pair of each class";
        LiftedStructure(LiftedStructure) = "lifted_structure", "each positive pair against the negatives of both ends";
        GeneralizedLiftedStructure(GeneralizedLiftedStructure) =
            "generalized_lifted_structure", "all positives against all negatives of an anchor";
        Circle(Circle) = "circle", "pairs weighed by how far they are from their optimum";
        FastAp(FastAp) = "fast_ap", "average precision from histograms of distances";
        Angular(Angular) = "angular", "a bound on the angle at which a negative sees a positive pair";
        IntraPairVariance(IntraPairVariance) = "intra_pair_variance", "spread of the similarities within each kind";
        TupletMargin(TupletMargin) = "tuplet_margin", "each positive against all negatives, its angle slackened";
        SnrContrastive(SnrContrastive) = "snr_contrastive", "hinges on the noise relative to the signal";
        Histogram(Histogram) = "histogram", "how often a negative is more similar than a positive";
        RankedList(RankedList) = "ranked_list", "pairs pulled into a sphere, negatives pushed out by their rank";
        Pnp(Pnp) = "pnp", "negatives before each positive in the ranking";
        ThresholdConsistentMargin(ThresholdConsistentMargin) =
            "threshold_consistent_margin", "one threshold of similarity for all classes";
    }
    class {
        ArcFace(ArcFace) = "arcface", "softmax over classes, the own angle widened";
        SubCenterArcFace(SubCenterArcFace) = "subcenter_arcface", "ArcFace with several centres a class";
        CosFace(CosFace) = "cosface", "softmax over classes, the own cosine lowered";
        SphereFace(SphereFace) = "sphereface", "softmax over classes, the own angle multiplied";
        LargeMarginSoftmax(LargeMarginSoftmax) =
            "large_margin_softmax", "SphereFace with weights of free length";
        NormalizedSoftmax(NormalizedSoftmax) = "normalized_softmax", "softmax over cosines to classes";
        P2sGrad(P2sGrad) = "p2s_grad", "squared error of the cosines to classes";
        ProxyNca(ProxyNca) = "proxy_nca", "neighbourhood components against one proxy a class";
        ProxyAnchor(ProxyAnchor) = "proxy_anchor", "each proxy against all embeddings of the batch";
        SoftTriple(SoftTriple) = "soft_triple", "softmax over classes of several soft centres";
    }
    own {
        DynamicSoftMargin(DynamicSoftMargin) =
            "dynamic_soft_margin", "the gap of triplets, weighed by how hard they are among recent ones" => Gaps;
        Manifold(ClassManifold) = "manifold", "images and class proxies near each other by a random walk" => Manifold;
        Instance(Instance) = "instance", "every image its own class, across two views, without labels" => Views;
    }
}

impl LossSettings {
    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::LISTING.iter().map(|(name, _)| *name)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.describe().0
    }
}

macro_rules! miners {
    ($($miner:ident($settings:ty) = $name:literal, $line:literal;)*) => {
        /// The settings of any miner, tagged by its `name`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum MinerSettings {
            /// Farthest positive and nearest negative of every anchor.
            #[serde(rename = "batch_hard")]
            BatchHard,
            $(
                #[doc = $line]
                #[serde(rename = $name)]
                $miner($settings),
            )*
        }

        impl MinerSettings {
            /// Every name with its line.
            pub const LISTING: &'static [(&'static str, &'static str)] = &[
                ("batch_hard", "farthest positive and nearest negative of every anchor"),
                $(($name, $line),)*
            ];

            /// The miner of that name with its default settings.
            ///
            /// # Errors
            /// When there is none; the message has the nearest.
            pub fn parse(name: &str) -> Result<Self, MetricError> {
                match name {
                    "batch_hard" => Ok(Self::BatchHard),
                    $($name => Ok(Self::$miner(<$settings>::default())),)*
                    _ => Err(unknown("miner", name, Self::LISTING)),
                }
            }

            /// The miner itself.
            pub fn miner(&self) -> &dyn Miner {
                match self {
                    Self::BatchHard => &BatchHardMiner,
                    $(Self::$miner(miner) => miner,)*
                }
            }
        }
    };
}

miners! {
    BatchEasyHard(BatchEasyHardMiner) = "batch_easy_hard", "one positive and one negative an anchor by strategy";
    TripletMargin(TripletMarginMiner) = "triplet_margin", "triplets whose gap is of one kind";
    DistanceWeighted(DistanceWeightedMiner) = "distance_weighted", "negatives drawn evenly over distances";
    MultiSimilarity(MultiSimilarityMiner) = "multi_similarity", "pairs harder than the hardest of the other kind";
    PairMargin(PairMarginMiner) = "pair_margin", "positives beyond one distance, negatives within another";
    Angular(AngularMiner) = "angular", "triplets whose angle at the negative is wide";
    Hdc(HdcMiner) = "hdc", "the hardest share of the pairs";
    UniformHistogram(UniformHistogramMiner) = "uniform_histogram", "pairs drawn evenly over distances";
    NHard(NHardMiner) = "n_hard", "a range of the hardest positives and negatives of every anchor";
}

fn unknown(kind: &'static str, name: &str, listing: &[(&'static str, &'static str)]) -> MetricError {
    let names = || listing.iter().map(|(name, _)| *name);
    MetricError::Unknown {
        kind,
        name: name.to_owned(),
        hint: did_you_mean(name, names()),
        known: names().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_gives_its_loss_and_survives_storage() {
        for (name, line) in LossSettings::LISTING {
            let loss = LossSettings::parse(name).unwrap();
            assert_eq!(loss.describe(), (*name, *line));
            loss.validate().unwrap();
            let text = serde_json::to_string(&loss).unwrap();
            assert!(text.contains(&format!(r#""name":"{name}""#)), "{text}");
            assert_eq!(serde_json::from_str::<LossSettings>(&text).unwrap(), loss, "{text}");
        }
        for (name, _) in MinerSettings::LISTING {
            let miner = MinerSettings::parse(name).unwrap();
            miner.miner().validate().unwrap();
            let text = serde_json::to_string(&miner).unwrap();
            assert_eq!(serde_json::from_str::<MinerSettings>(&text).unwrap(), miner, "{text}");
        }
    }

    #[test]
    fn settings_that_are_left_out_are_the_defaults_and_typos_are_refused() {
        let loss: LossSettings = serde_json::from_str(r#"{ "name": "arcface", "scale": 32.0 }"#).unwrap();
        assert_eq!(LossSettings::ArcFace(ArcFace { scale: 32.0, ..ArcFace::default() }), loss);
        assert!(serde_json::from_str::<LossSettings>(r#"{ "name": "arcface", "scala": 32.0 }"#).is_err());
        assert!(serde_json::from_str::<LossSettings>(r#"{ "scale": 32.0 }"#).is_err());
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let message = LossSettings::parse("proxy_ancor").unwrap_err().to_string();
        assert!(message.contains("did you mean `proxy_anchor`?") && message.contains("multi_similarity"), "{message}");
        assert!(matches!(MinerSettings::parse("hardest"), Err(MetricError::Unknown { kind: "miner", .. })));
    }
}
