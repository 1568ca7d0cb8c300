//! Losses trained on what a person says about rows.

use super::*;
use metric::{
    MetricError, Pair, Pairwise, Tuples,
    losses::{Contrastive, PairLoss, TripletMargin},
    methods::{Weak, WeakKind, WeakTraining},
    weak::{Chunks, Pairs, Quadruplets, Triplets, WeakError},
};

#[test]
fn every_loss_says_which_weak_supervision_it_takes() {
    let takes = |name: &str, kind| {
        let training = WeakTraining { loss: LossSettings::parse(name).unwrap(), distance: None };
        training.check(kind)
    };
    for kind in WeakKind::ALL {
        let triplets = kind == WeakKind::Triplets;
        for name in ["contrastive", "multi_similarity", "snr_contrastive", "threshold_consistent_margin"] {
            takes(name, kind).unwrap();
        }
        for name in ["triplet_margin", "margin", "ntxent", "circle", "dynamic_soft_margin"] {
            assert_eq!(takes(name, kind).is_ok(), triplets, "{name} on {kind:?}");
        }
        for name in ["arcface", "manifold", "instance", "fast_ap", "nca_loss", "npairs", "angular", "pnp"] {
            let message = takes(name, kind).unwrap_err().to_string();
            let instead = if triplets { "`triplet_margin`" } else { "`contrastive`" };
            assert!(message.contains("the class of every image") && message.contains(instead), "{message}");
        }
    }
}

/// Only what was said counts: not what could be concluded, and not in which order it was said.
#[test]
fn a_batch_of_pairs_is_valued_by_its_answers() {
    let (data, device) = (images(12), Device::flex().autodiff());
    let said = Pairs { pairs: vec![[3, 0], [1, 5], [2, 0]], same: vec![true, false, false] };
    let method = WeakTraining::default().method(Weak::Pairs(said), 12).unwrap();
    assert_eq!((method.name(), method.clone().named("siamese").name()), ("contrastive", "siamese"));
    assert!(matches!(method.needs().sampling, Sampling::Tuples(_)));
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 8 };
    let (model, mut memory) = method.build(config.init(data.shape(), 3, &device).unwrap(), 8, 0, &device);
    let batch = whole(&data.select(&[1, 5, 0, 3]), &device);
    let batch = Batch { labels: Vec::new(), indices: vec![1, 5, 0, 3], ..batch };
    let at = Progress { step: 0, steps: 1, seed: 0 };
    let got = method.objective(&model, &mut memory, &batch, at).unwrap();
    let both = |anchor: u32, other: u32| vec![Pair { anchor, other }, Pair { anchor: other, other: anchor }];
    let tuples = Tuples::Pairs { positive: both(2, 3), negative: both(0, 1) };
    let on = Pairwise::new(Distance::default(), got.embedding, &[0; 4], None).unwrap();
    let wanted = Contrastive::default().forward(&on, Some(&tuples)).unwrap().into_scalar::<f32>();
    let got = got.loss.into_scalar::<f32>();
    assert!(wanted > 0.0 && (got - wanted).abs() < 1e-6, "{got} and {wanted}");
}

#[test]
fn what_a_person_says_trains_without_labels() {
    let labelled = images(48);
    let known: Vec<Option<usize>> = labelled.labels.iter().flatten().copied().map(Some).collect();
    let data = Dataset { labels: None, ..labelled };
    let contrastive = || LossSettings::Contrastive(Contrastive::default());
    let triplet_margin = LossSettings::TripletMargin(TripletMargin { margin: 1.0, ..TripletMargin::default() });
    let said = [
        (contrastive(), Weak::Pairs(Pairs::from_labels(&known, 200, 0).unwrap())),
        (triplet_margin, Weak::Triplets(Triplets::from_labels(&known, 4000, 0).unwrap())),
        (contrastive(), Weak::Quadruplets(Quadruplets::from_labels(&known, 200, 0).unwrap())),
        (contrastive(), Weak::Chunks(Chunks::from_labels(&known, 12, 4, 0).unwrap())),
    ];
    for (loss, weak) in said {
        let (name, kind) = (loss.name(), weak.kind());
        let training = WeakTraining { loss, distance: None };
        let trained = run_method(&training.method(weak, data.len()).unwrap(), &data, 40).unwrap();
        assert!(trained.losses[1] < trained.losses[0], "{name} on {kind:?}: {:?}", trained.losses);
    }
    let pairs = || Weak::Pairs(Pairs { pairs: vec![[0, 50]], same: vec![true] });
    assert!(matches!(WeakTraining::default().method(pairs(), 48), Err(WeakError::Row { row: 50, rows: 48, .. })));
    let classes = WeakTraining { loss: LossSettings::parse("arcface").unwrap(), distance: None };
    assert!(matches!(classes.method(pairs(), 60), Err(WeakError::Metric(MetricError::Evidence { .. }))));
}
