//! Wrappers, and losses that are each other's special cases.

use super::*;
use metric::{
    MetricError,
    losses::{
        Combined, Contrastive, CrossBatchMemory, MultiSimilarity, NcaLoss, NtXent, Part, SelfSupervised, SupCon,
        TripletMargin,
    },
    miner::{BatchHardMiner, Miner, MultiSimilarityMiner},
};

fn rows() -> Rows {
    Fixture::read().embeddings
}

fn labels() -> Vec<usize> {
    Fixture::read().labels
}

fn value(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

#[test]
fn a_memory_of_one_batch_is_the_loss_itself() {
    let (rows, labels) = (rows(), labels());
    let losses: [&dyn PairLoss; 5] = [
        &Contrastive::default(),
        &TripletMargin { margin: 0.2, swap: true, ..TripletMargin::default() },
        &MultiSimilarity::default(),
        &SupCon::default(),
        &NcaLoss::default(),
    ];
    for device in devices() {
        for loss in losses {
            let plain = loss.of(tensor(&rows, &device), &labels).unwrap().into_scalar::<f32>();
            let mut memory = CrossBatchMemory::new(rows.len()).unwrap();
            for _ in 0..2 {
                // The second time everything old is forgotten.
                let got = memory.forward(loss, None, tensor(&rows, &device), &labels).unwrap();
                check_value(&format!("{loss:?}"), got.into_scalar::<f32>(), plain.into());
            }
        }
    }
}

#[test]
fn a_memory_forgets_the_oldest() {
    let device = &devices()[0];
    let mut memory = CrossBatchMemory::new(5).unwrap();
    for start in [0u8, 3, 6] {
        let batch: Rows = (start..start + 3).map(|i| vec![f64::from(i), 1.0]).collect();
        let labels: Vec<usize> = (start..start + 3).map(usize::from).collect();
        memory.enqueue(tensor(&batch, device), &labels).unwrap();
    }
    assert_eq!(memory.labels(), [4, 5, 6, 7, 8]);
    let kept = memory.embeddings().unwrap().clone().try_into_vec_as::<f32>().unwrap();
    assert_eq!(kept, [4.0, 1.0, 5.0, 1.0, 6.0, 1.0, 7.0, 1.0, 8.0, 1.0]);
    // Queries that were not enqueued are compared with everything; a batch that was, not with its copies.
    let query = tensor(&[vec![4.0, 1.0]], device);
    let against = memory.against(EUCLIDEAN, query.clone(), &[4]).unwrap();
    assert_eq!(against.positives(0).collect::<Vec<_>>(), [0]);
    let entered = memory.pairwise(EUCLIDEAN, query, &[4]).unwrap();
    assert_eq!((entered.own_column(0), entered.references()), (Some(4), 5));
    assert_eq!(entered.positives(0).count(), 0, "the old item 4 was forgotten, the new one is the query itself");
    let six: Rows = vec![vec![1.0, 0.0]; 6];
    assert_eq!(memory.enqueue(tensor(&six, device), &[0; 6]), Err(MetricError::Memory { batch: 6, capacity: 5 }));
    let wide = tensor(&[vec![1.0; 3]], device);
    assert_eq!(memory.enqueue(wide, &[0]), Err(MetricError::Dimensions { embeddings: 3, references: 2 }));
    assert!(CrossBatchMemory::new(0).is_err());
}

#[test]
fn a_miner_works_on_the_memory() {
    let Memory { batches, .. } = Fixture::read().cross_batch_memory;
    let device = &devices()[0];
    let mut memory = CrossBatchMemory::new(40).unwrap();
    for batch in &batches {
        let x = tensor(&batch.embeddings, device).require_grad();
        let on = memory.pairwise(Distance::Cosine, x.clone(), &batch.labels).unwrap();
        let tuples = MultiSimilarityMiner::default().mine(&on).unwrap();
        for pair in tuples.pairs().iter().flat_map(|pairs| pairs.iter()) {
            assert_ne!(on.own_column(pair.anchor as usize), Some(pair.other as usize));
        }
        let loss = MultiSimilarity::default().forward(&on, Some(&tuples)).unwrap();
        assert!(x.grad(&loss.backward()).is_some());
    }
}

#[test]
fn a_sum_of_losses_is_their_sum() {
    let (rows, labels) = (rows(), labels());
    for device in devices() {
        let x = || tensor(&rows, &device);
        let on = Pairwise::new(EUCLIDEAN, x(), &labels, None).unwrap();
        let hard = BatchHardMiner.mine(&on).unwrap();
        let wanted = value(NtXent::default().of(x(), &labels).unwrap())
            + 0.5 * value(TripletMargin::default().forward(&on, Some(&hard)).unwrap());
        let triplet =
            Part { weight: 0.5, miner: Some(Box::new(BatchHardMiner)), ..Part::new(TripletMargin::default()) };
        let combined = Combined { parts: vec![Part::new(NtXent::default()), triplet] };
        let got = combined.forward(x(), &labels, None).unwrap().into_scalar::<f32>();
        check_value("the sum", got, wanted);
        let nothing = evaluate(&rows, &device, |x| Combined::default().forward(x, &labels, None).unwrap());
        assert_eq!(nothing.0, 0.0);
        let mut bad = combined;
        bad.parts[0].weight = f32::NAN;
        assert!(bad.forward(x(), &labels, None).is_err());
    }
}

#[test]
fn views_are_each_others_positives() {
    // SimCLR's loss of three images with two views each.
    let angles = |degrees: [f64; 3]| degrees.map(|d| vec![d.to_radians().cos(), d.to_radians().sin()]);
    let (first, second) = (angles([0.0, 40.0, 80.0]), angles([10.0, 50.0, 90.0]));
    for device in devices() {
        let views = || vec![tensor(&first, &device), tensor(&second, &device)];
        for (temperature, wanted) in [(0.5, 1.0850764528), (0.1, 0.3104973571)] {
            let ntxent = NtXent { temperature, ..NtXent::default() };
            let got = SelfSupervised::default().forward(&ntxent, views()).unwrap().into_scalar::<f32>();
            check_value("two views", got, wanted);
            // Three views, of which two are equal, have more positives.
            let three = vec![tensor(&first, &device), tensor(&second, &device), tensor(&first, &device)];
            assert!(SelfSupervised::default().forward(&ntxent, three).unwrap().into_scalar::<f32>().is_finite());
        }
        let one_sided = SelfSupervised { symmetric: false };
        let contrastive = Contrastive::default();
        let on = Pairwise::new(
            EUCLIDEAN,
            tensor(&first, &device),
            &[0, 1, 2],
            Some((tensor(&second, &device), [0, 1, 2].as_slice())),
        );
        let wanted = value(contrastive.forward(&on.unwrap(), None).unwrap());
        check_value("one side", one_sided.forward(&contrastive, views()).unwrap().into_scalar::<f32>(), wanted);
        assert!(one_sided.forward(&contrastive, vec![tensor(&first, &device)]).is_err());
        let short = vec![tensor(&first, &device), tensor(&second[..2], &device)];
        assert!(one_sided.forward(&contrastive, short).is_err());
    }
}

#[test]
fn nt_xent_at_one_half_is_nca_where_every_item_has_one_positive() {
    let rows: Rows = rows().into_iter().take(10).collect();
    let labels: Vec<usize> = (0..10).map(|i| i / 2).collect();
    for device in devices() {
        let ntxent = NtXent { temperature: 0.5, ..NtXent::default() };
        let nca = value(NcaLoss::default().of(tensor(&rows, &device), &labels).unwrap());
        check_value("NT-Xent", ntxent.of(tensor(&rows, &device), &labels).unwrap().into_scalar::<f32>(), nca);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (rows, labels) = (rows(), labels());
    let losses: [&dyn PairLoss; 4] =
        [&NtXent::default(), &SupCon::default(), &MultiSimilarity::default(), &TripletMargin::default()];
    for loss in losses {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(&rows, &Device::flex().autodiff(), |x| loss.of(x, &labels).unwrap()))
        };
        assert_eq!(run(1), run(3), "{loss:?}");
    }
}
