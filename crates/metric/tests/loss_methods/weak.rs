//! Losses trained on what a person says about rows.

use super::*;
use metric::{
    MetricError, Pair, Pairwise, Tuples,
    losses::{Contrastive, PairLoss, SupCon, TripletMargin},
    methods::{DeepMahalanobis, SupConMethod, WeakTraining},
    weak::{Chunks, Pairs, Quadruplets, Triplets, Weak, WeakError, WeakKind},
};

#[test]
fn every_loss_says_which_weak_supervision_it_takes() {
    let takes = |name: &str, kind| {
        let training = WeakTraining { loss: LossSettings::parse(name).unwrap(), distance: None };
        training.check(kind)
    };
    for kind in [WeakKind::Pairs, WeakKind::Triplets, WeakKind::Quadruplets] {
        let quadruplets = kind == WeakKind::Quadruplets;
        for name in ["contrastive", "multi_similarity", "snr_contrastive", "threshold_consistent_margin"] {
            takes(name, kind).unwrap();
        }
        takes("triplet_margin", kind).unwrap();
        for name in ["margin", "ntxent", "circle", "lifted_structure", "dynamic_soft_margin"] {
            assert_eq!(takes(name, kind).is_err(), quadruplets, "{name} on {kind:?}");
        }
        for name in ["arcface", "manifold", "instance", "fast_ap", "nca_loss", "npairs", "angular", "pnp"] {
            let message = takes(name, kind).unwrap_err().to_string();
            let instead = if kind == WeakKind::Pairs { "`contrastive`" } else { "`triplet_margin`" };
            assert!(message.contains("the class of every image") && message.contains(instead), "{message}");
        }
        assert_eq!(SupConMethod::default().check_weak(kind).is_err(), quadruplets, "supcon on {kind:?}");
        DeepMahalanobis::default().check_weak(kind).unwrap();
    }
    // Nothing is far in chunks, for whatever loss.
    let refusals = LossSettings::names().map(|name| takes(name, WeakKind::Chunks)).chain([
        SupConMethod::default().check_weak(WeakKind::Chunks),
        DeepMahalanobis::default().check_weak(WeakKind::Chunks),
    ]);
    for refused in refusals {
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains("nothing is said to be far") && message.contains("train on them as classes"),
            "{message}"
        );
    }
}

#[test]
fn settings_that_statements_leave_no_room_for_are_refused() {
    let swap = TripletMargin { swap: true, ..TripletMargin::default() };
    let training = WeakTraining { loss: LossSettings::TripletMargin(swap.clone()), distance: None };
    training.check(WeakKind::Triplets).unwrap();
    assert!(training.check(WeakKind::Quadruplets).unwrap_err().to_string().contains("`swap`"));
    let deep = DeepMahalanobis { loss: swap, ..DeepMahalanobis::default() };
    assert!(deep.check_weak(WeakKind::Quadruplets).unwrap_err().to_string().contains("`swap`"));
    let views = SupConMethod { views: 2, ..SupConMethod::default() };
    assert!(views.check_weak(WeakKind::Pairs).unwrap_err().to_string().contains("`views`"));
    let negative = DeepMahalanobis { penalty: -1.0, ..DeepMahalanobis::default() };
    assert!(matches!(negative.check_weak(WeakKind::Pairs), Err(MetricError::Setting { name: "penalty", .. })));
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

/// The positives and negatives of an image are those that were said, and no others of the batch.
#[test]
fn supcon_sees_every_answer_about_the_images_of_a_batch() {
    let (data, device) = (images(12), Device::flex().autodiff());
    let said = Weak::Pairs(Pairs { pairs: vec![[3, 0], [1, 5], [0, 5], [3, 9]], same: vec![true, true, false, true] });
    let method = SupConMethod::default().weak(&said, 12).unwrap();
    assert_eq!((method.name(), method.needs().labels), ("supcon", false));
    let config = EncoderConfig { architecture: Architecture::Mlp, width: 8 };
    let (model, mut memory) = method.build(config.init(data.shape(), 3, &device).unwrap(), 8, 0, &device);
    // The triplets (0, 3, 5) and (5, 1, 0) side by side; nothing was said of 1 and 0, nor of 1 and 3.
    let rows = vec![0, 3, 5, 5, 1, 0];
    let batch = Batch { labels: Vec::new(), indices: rows.clone(), ..whole(&data.select(&rows), &device) };
    let at = Progress { step: 0, steps: 1, seed: 0 };
    let got = method.objective(&model, &mut memory, &batch, at).unwrap();
    let both = |pairs: &[(u32, u32)]| -> Vec<Pair> {
        pairs.iter().flat_map(|&(a, b)| [Pair { anchor: a, other: b }, Pair { anchor: b, other: a }]).collect()
    };
    let tuples = Tuples::Pairs { positive: both(&[(0, 1), (2, 4)]), negative: both(&[(0, 2)]) };
    let on = Pairwise::new(Distance::Cosine, got.embedding, &[0; 6], None).unwrap();
    let wanted = SupCon::default().forward(&on, Some(&tuples)).unwrap().into_scalar::<f32>();
    let got = got.loss.into_scalar::<f32>();
    assert!(wanted > 0.0 && (got - wanted).abs() < 1e-6, "{got} and {wanted}");
}

#[test]
fn what_a_person_says_trains_without_labels() {
    let labelled = images(48);
    let known: Vec<Option<usize>> = labelled.labels.iter().flatten().copied().map(Some).collect();
    let data = Dataset { labels: None, ..labelled };
    let pairs = || Weak::Pairs(Pairs::from_labels(&known, 200, 0).unwrap());
    let triplets = || Weak::Triplets(Triplets::from_labels(&known, 4000, 0).unwrap());
    let quadruplets = || Weak::Quadruplets(Quadruplets::from_labels(&known, 200, 0).unwrap());
    let margin = || TripletMargin { margin: 1.0, ..TripletMargin::default() };
    let table = |loss: LossSettings, weak: Weak| WeakTraining { loss, distance: None }.method(weak, 48).unwrap();
    let contrastive = || LossSettings::Contrastive(Contrastive::default());
    let supcon = SupConMethod { projector: Some([16, 8]), ..SupConMethod::default() };
    let deep = || DeepMahalanobis { loss: margin(), ..DeepMahalanobis::default() };
    let methods = [
        ("contrastive on pairs", table(contrastive(), pairs())),
        ("contrastive on quadruplets", table(contrastive(), quadruplets())),
        ("ntxent on pairs", table(LossSettings::parse("ntxent").unwrap(), pairs())),
        ("triplet_margin on pairs", table(LossSettings::TripletMargin(margin()), pairs())),
        ("triplet_margin on triplets", table(LossSettings::TripletMargin(margin()), triplets())),
        ("triplet_margin on quadruplets", table(LossSettings::TripletMargin(margin()), quadruplets())),
        ("supcon on pairs", supcon.clone().weak(&pairs(), 48).unwrap()),
        ("supcon on triplets", supcon.weak(&triplets(), 48).unwrap()),
        ("deep_mahalanobis on pairs", deep().weak(&pairs(), 48).unwrap()),
        ("deep_mahalanobis on triplets", deep().weak(&triplets(), 48).unwrap()),
        ("deep_mahalanobis on quadruplets", deep().weak(&quadruplets(), 48).unwrap()),
    ];
    for (name, method) in methods {
        let trained = run_method(&method, &data, 40).unwrap();
        assert!(trained.losses[1] < trained.losses[0], "{name}: {:?}", trained.losses);
        let map = method.components(&trained.model).map(|map| map.try_into_vec_as::<f32>().unwrap());
        assert_eq!(map.is_some(), name.starts_with("deep_mahalanobis"), "{name}");
        let identity = |at: usize| -> f32 { if at.is_multiple_of(9) { 1.0 } else { 0.0 } };
        let moved = map.iter().flatten().enumerate().any(|(at, v)| (v - identity(at)).abs() > 1e-3);
        assert!(map.is_none() || moved, "{name}: the distance did not move");
    }
    let beyond = || Weak::Pairs(Pairs { pairs: vec![[0, 50]], same: vec![true] });
    assert!(matches!(WeakTraining::default().method(beyond(), 48), Err(WeakError::Row { row: 50, rows: 48, .. })));
    let classes = WeakTraining { loss: LossSettings::parse("arcface").unwrap(), distance: None };
    assert!(matches!(classes.method(beyond(), 60), Err(WeakError::Metric(MetricError::Evidence { .. }))));
}

/// Chunks that are classes train whatever class labels train.
#[test]
fn chunks_that_are_classes_train_every_loss() {
    let labelled = images(48);
    let known: Vec<Option<usize>> = labelled.labels.iter().flatten().copied().map(Some).collect();
    let chunks = Weak::Chunks(Chunks::from_labels(&known, 3, 12, 0).unwrap());
    let (rows, data) = chunks.as_classes(48).unwrap().dataset(&Dataset { labels: None, ..labelled }).unwrap();
    assert_eq!((rows.len(), data.class_names.len()), (36, 3));
    for name in ["contrastive", "triplet_margin", "arcface", "fast_ap"] {
        let method = LossTraining::new(LossSettings::parse(name).unwrap()).method(3).unwrap();
        let trained = run_method(&method, &data, 4).unwrap();
        assert!(trained.finished && trained.losses.iter().all(|l| l.is_finite()), "{name}: {:?}", trained.losses);
    }
}
