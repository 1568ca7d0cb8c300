//! What does not go together is refused when it is built.

use super::*;
use metric::{
    MetricError, Pairwise, Reducer,
    losses::{
        Contrastive, Instance,
        class::{ArcFace, ProxyNca},
    },
    methods::LossKind,
};

#[test]
fn settings_are_checked_before_a_run() {
    let new = LossTraining::new;
    let setting = |training: LossTraining, classes, wanted: &str| match training.method(classes) {
        Err(MetricError::Setting { name, .. }) => assert_eq!(name, wanted),
        other => panic!("{wanted}: {other:?}"),
    };
    setting(new(LossSettings::ArcFace(ArcFace { scale: 0.0, ..ArcFace::default() })), CLASSES, "scale");
    setting(new(LossSettings::ArcFace(ArcFace::default())), 1, "classes");
    setting(LossTraining { images_per_class: Some(1), ..LossTraining::default() }, CLASSES, "images_per_class");
    let reducer = Reducer::ClassWeighted { weights: vec![1.0, 2.0] };
    let few = new(LossSettings::ProxyNca(ProxyNca { reducer, ..ProxyNca::default() }));
    assert_eq!(few.method(CLASSES).unwrap_err(), MetricError::ClassWeight { class: 2, classes: 2 });
}

/// What does not go together is refused when it is built, in the words of the loss itself.
#[test]
fn every_loss_and_distance_either_go_together_or_are_refused_before_a_run() {
    let device = Device::flex().autodiff();
    let rows: Vec<f32> = (0..24).map(|i| ((i * 37 % 19) as f32).sin()).collect();
    let x = Tensor::<2>::from_data(TensorData::new(rows, [8, 3]), &device);
    let labels = [0, 0, 1, 1, 2, 2, 2, 0];
    let distances = [
        Distance::default(),
        Distance::Euclidean { normalized: false, squared: true },
        Distance::Lp { p: 1.0, power: 1.0, normalized: true },
        Distance::Cosine,
        Distance::Dot { normalized: false },
        Distance::Snr,
    ];
    let (mut taken, mut refused) = (0, 0);
    for name in LossSettings::names() {
        let loss = LossSettings::parse(name).unwrap();
        let LossKind::Pair(pair) = loss.kind() else { continue };
        for distance in distances {
            let training = LossTraining { distance: Some(distance), ..LossTraining::new(loss.clone()) };
            let on = Pairwise::new(distance, x.clone(), &labels, None).unwrap();
            match (training.method(CLASSES), pair.forward(&on, None)) {
                (Ok(_), Ok(_)) => taken += 1,
                (Err(built), Err(run)) => {
                    assert_eq!(built, run, "{name} on {distance:?}");
                    assert!(built.to_string().contains("(`") || built.to_string().contains("(such as `"), "{built}");
                    refused += 1;
                }
                (built, run) => panic!("{name} on {distance:?}: {built:?} and {run:?}"),
            }
        }
    }
    assert!(taken > 50 && refused > 30, "{taken} and {refused}");
}

#[test]
fn what_does_not_go_together_is_named() {
    let parse = |name: &str| LossSettings::parse(name).unwrap();
    let miner = |name: &str| Some(MinerSettings::parse(name).unwrap());
    let error = |training: LossTraining| training.method(CLASSES).unwrap_err().to_string();
    let on = |name: &str, distance| LossTraining { distance: Some(distance), ..LossTraining::new(parse(name)) };
    let mined = |name: &str, by: &str| LossTraining { miner: miner(by), ..LossTraining::new(parse(name)) };
    for (training, says) in [
        (on("circle", Distance::default()), "the circle loss is defined for the cosine (`\"cosine\"`) only"),
        (on("dynamic_soft_margin", Distance::Cosine), "the Euclidean distance of normalised rows"),
        (on("manifold", Distance::Cosine), "leave `distance` and `miner` out"),
        (on("arcface", Distance::Cosine), "`distance` is for its miner"),
        (mined("pnp", "batch_hard"), "leave the miner out"),
        (mined("instance", "batch_hard"), "leave the miner out"),
        (mined("multi_similarity", "distance_weighted"), "the distance is Cosine, but distance-weighted mining"),
    ] {
        let message = error(training);
        assert!(message.contains(says), "{message}");
    }
    let reducer = |count| Reducer::ClassWeighted { weights: vec![1.0; count] };
    let weighed = |count| {
        LossTraining::new(LossSettings::Contrastive(Contrastive { reducer: reducer(count), ..Contrastive::default() }))
    };
    assert!(weighed(CLASSES).method(CLASSES).is_ok());
    assert!(error(weighed(2)).contains("class 2 has no weight"));
    assert!(error(weighed(4)).contains("one for each class"));
    let instance = Instance { reducer: reducer(3), ..Instance::default() };
    assert!(error(LossTraining::new(LossSettings::Instance(instance))).contains("no classes to weigh"));
    let divided = ArcFace { reducer: Reducer::Divisor, ..ArcFace::default() };
    assert_eq!(LossTraining::new(LossSettings::ArcFace(divided)).validate(), Err(MetricError::NoDivisor));
    let both =
        LossTraining { images_per_class: Some(4), sampling: Some(Sampling::Shuffled), ..LossTraining::default() };
    assert!(error(both).contains("give one of them"));
    let thin = Some(Sampling::PerClass { images: 1 });
    assert!(error(LossTraining { sampling: thin, ..LossTraining::default() }).contains("at least 2, got 1"));
}

/// Data with more classes than the method was built for: the run stops with the reason, not with a NaN.
#[test]
fn a_batch_without_a_loss_stops_the_run_with_the_reason() {
    let method = LossTraining::new(LossSettings::parse("arcface").unwrap()).method(CLASSES - 1).unwrap();
    let error = run_method(&method, &images(48), 4).err().expect("a label without weights");
    assert!(matches!(error, TrainError::NoLoss { method: "arcface", step: 1, .. }), "{error}");
    assert!(error.to_string().contains("label 2 has no weights"), "{error}");
}
