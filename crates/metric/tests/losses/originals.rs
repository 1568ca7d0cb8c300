//! Further values of pytorch-metric-learning 2.9.0 in f64 on the fixture's embeddings: losses over the triplets of
//! batch-hard mining, reducers, learnt boundaries, variants.

use super::*;
use metric::{
    Reducer,
    losses::{
        Angular, Circle, Contrastive, FastAp, GeneralizedLiftedStructure, Histogram, Instance, IntraPairVariance,
        LiftedStructure, Manifold, Margin, MultiSimilarity, NPairs, NcaLoss, NtXent, Penalty, Pnp, SupCon,
        ThresholdConsistentMargin, TupletMargin,
    },
    miner::{BatchHardMiner, Miner},
};

#[test]
fn mined_triplets_give_the_originals_values() {
    let Fixture { embeddings, labels, .. } = Fixture::read();
    let cases = [
        (Case::own(NcaLoss::default()), 0.6564416497919795),
        (Case::own(FastAp::default()), 0.26564730468167563),
        (Case::own(SupCon::default()), 10.101111522950452),
        (Case::own(MultiSimilarity::default()), 1.122980774978937),
        (Case::own(NtXent::default()), 14.4287040856955),
        (Case::own(LiftedStructure::default()), 3.192984128617674),
        (Case::own(GeneralizedLiftedStructure::default()), 1.7953519763975205),
        (Case::own(Circle::default()), 169.1598821158536),
        (Case::own(Margin::default()), 0.5976759881987602),
        (Case::own(Contrastive::default()), 1.872359262993503),
        (Case::own(Angular::default()), 7.437518387093804),
        (Case::own(IntraPairVariance::default()), 0.046994407355804076),
        (Case::own(TupletMargin::default()), 59.01052040277153),
        (Case::own(Histogram { bins: 20 }), 0.9999999999999998),
        (Case::own(ThresholdConsistentMargin::default()), 1.4822188926550646),
        (Case::own(NPairs::default()), 1.935994572501961),
    ];
    for device in devices() {
        let x = || tensor(&embeddings, &device);
        let hard = BatchHardMiner.mine(&Pairwise::new(EUCLIDEAN, x(), &labels, None).unwrap()).unwrap();
        for (case, wanted) in &cases {
            let got = case.over(x(), &labels, None, Some(&hard)).into_scalar::<f32>();
            check_value(&format!("{case:?}"), got, *wanted);
        }
    }
}

#[test]
fn reducers_give_the_originals_values() {
    let Fixture { embeddings, labels, .. } = Fixture::read();
    let weighted = || Reducer::ClassWeighted { weights: vec![1.0, 2.0, 0.5, 0.0, 3.0] };
    let contrastive = |reducer| Case::own(Contrastive { reducer, ..Contrastive::default() });
    let similarity = |reducer| Case::own(MultiSimilarity { reducer, ..MultiSimilarity::default() });
    let ntxent = |reducer| Case::own(NtXent { reducer, ..NtXent::default() });
    let cases = [
        (contrastive(Reducer::PerAnchor), 1.4150729446000407),
        (similarity(Reducer::PerAnchor), 1.4797606741759894),
        (ntxent(Reducer::PerAnchor), 9.374395360015354),
        (contrastive(weighted()), 1.300778212493902),
        // The original multiplies a column with a row here and averages the square; this is its own values, weighed.
        (similarity(weighted()), 1.501517729151316),
        (ntxent(weighted()), 7.982871139748339),
        (contrastive(Reducer::Sum), 154.51537158112478),
        (similarity(Reducer::Sum), 35.51425618022375),
        (ntxent(Reducer::Sum), 984.5869114855113),
    ];
    for device in devices() {
        for (case, wanted) in &cases {
            let got = case.of(tensor(&embeddings, &device), &labels).into_scalar::<f32>();
            check_value(&format!("{case:?}"), got, *wanted);
        }
    }
}

#[test]
fn learnt_boundaries_are_the_originals() {
    let Fixture { embeddings, labels, .. } = Fixture::read();
    let margin = Margin { nu: 0.3, ..Margin::default() };
    let by_class = [
        -0.017221584385763548,
        -0.004133180252583239,
        -0.058859548411787026,
        -0.011481056257175751,
        -0.01836969001148113,
    ];
    for device in devices() {
        let of = |beta: Vec<f32>| {
            let classes = beta.len();
            let beta = Tensor::<1>::from_data(TensorData::new(beta, [classes]), &device).require_grad();
            let x = tensor(&embeddings, &device).require_grad();
            let on = Pairwise::new(EUCLIDEAN, x, &labels, None).unwrap();
            let loss = margin.with_boundary(&on, None, beta.clone()).unwrap();
            let gradient = beta.grad(&loss.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
            (loss.into_scalar::<f32>(), gradient)
        };
        let (value, gradient) = of(vec![1.2]);
        check_value("one boundary", value, 0.7379594111204761);
        assert!((gradient[0] + 0.030_271_718).abs() < 1e-5, "{gradient:?}");
        let (value, gradient) = of(vec![1.2; 5]);
        check_value("a boundary a class", value, 0.6422074019356312);
        for (got, wanted) in gradient.iter().zip(by_class) {
            assert!((f64::from(*got) - wanted).abs() < 1e-5, "{gradient:?}");
        }
    }
}

#[test]
fn penalties_and_instances_have_the_originals_values() {
    let Fixture { embeddings, labels, .. } = Fixture::read();
    let penalty = |penalty| Case::own(Pnp { penalty, anneal: 0.1 });
    let items: Vec<usize> = (0..embeddings.len()).collect();
    let instance = Case::own(Instance { gamma: 4.0, ..Instance::default() });
    let cases = [
        (penalty(Penalty::Linear), &labels, 7.107920464656861),
        (penalty(Penalty::Increasing), &labels, 19.18945324391119),
        (penalty(Penalty::BoundedIncreasing { b: 2.0 }), &labels, 3.0068566555393055),
        (penalty(Penalty::Decreasing), &labels, 1.6972030053416605),
        (penalty(Penalty::Quickly { alpha: 1.0 }), &labels, 0.6786383102488984),
        (instance, &items, 0.6974108504168314),
    ];
    for device in devices() {
        for (case, labels, wanted) in &cases {
            let got = case.of(tensor(&embeddings, &device), labels).into_scalar::<f32>();
            check_value(&format!("{case:?}"), got, *wanted);
        }
    }
}

#[test]
fn a_second_batch_of_the_dynamic_soft_margin_is_the_originals() {
    let Fixture { embeddings, labels, cross_batch_memory, .. } = Fixture::read();
    let next = &cross_batch_memory.batches[0];
    let dynamic = DynamicSoftMargin { momentum: 0.25, ..DynamicSoftMargin::default() };
    for device in devices() {
        let mut histogram = GapHistogram::default();
        for (rows, labels, wanted) in
            [(&embeddings, &labels, 0.10086543034370907), (&next.embeddings, &next.labels, 0.08919162909769358)]
        {
            let on = Pairwise::new(EUCLIDEAN, tensor(rows, &device), labels, None).unwrap();
            let got = dynamic.forward(&on, None, &mut histogram).unwrap().into_scalar::<f32>();
            check_value("the loss", got, wanted);
        }
    }
}

/// Value, first entry of the gradient by the embeddings, and the sums of sizes of both gradients. The original rounds
/// its inverse to f32; these values are without that.
#[test]
fn the_manifold_loss_is_the_original() {
    let Fixture { embeddings, class_weights, .. } = Fixture::read();
    let assigned: Vec<usize> = (0..embeddings.len()).map(|i| i % 5).collect();
    let cases = [
        (1.0, 5e-4, [1.8947798826944255, 0.00019614170225920304, 0.039395647657590925, 0.015922068540541682]),
        (0.5, 0.05, [2.4109483759088333, -0.000329161422737002, 0.028918874797294145, 0.010477103886217653]),
        (0.0, 0.01, [1.5409429478761874, -9.164551861339964e-5, 0.007540548428037091, 0.002602610027782842]),
    ];
    for device in devices() {
        for (context, margin, [value, first, sizes, of_proxies]) in cases {
            let manifold = Manifold { proxies: 5, context, margin, ..Manifold::default() };
            let head = manifold.with_proxies(tensor(&class_weights, &device)).unwrap();
            let x = tensor(&embeddings, &device).require_grad();
            let loss = head.forward(x.clone(), &assigned).unwrap();
            let gradients = loss.backward();
            check_value("the loss", loss.into_scalar::<f32>(), value);
            let by_x = x.grad(&gradients).unwrap().try_into_vec_as::<f32>().unwrap();
            let by_proxies = head.proxies().grad(&gradients).unwrap().try_into_vec_as::<f32>().unwrap();
            let size = |gradient: &[f32]| gradient.iter().map(|g| f64::from(g.abs())).sum::<f64>();
            assert!((f64::from(by_x[0]) - first).abs() < 1e-4 * sizes, "{context}: {}", by_x[0]);
            assert!((size(&by_x) - sizes).abs() < 1e-3 * sizes, "{context}: {}", size(&by_x));
            assert!((size(&by_proxies) - of_proxies).abs() < 1e-3 * of_proxies, "{context}: {}", size(&by_proxies));
        }
    }
    let assigned = Manifold { proxies: 7, ..Manifold::default() }.assign(20, 3).unwrap();
    assert!((0..7).all(|proxy| assigned.contains(&proxy)) && assigned.len() == 20);
    assert!(Manifold::default().assign(49, 0).is_err(), "50 proxies");
}
