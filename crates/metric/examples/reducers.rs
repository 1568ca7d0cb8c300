//! How many tuples become one number: every triplet of the iris data under every reducer, with the gradient that it
//! leaves and the share of the triplets that take part in it.
//!
//! ```text
//! cargo run --example reducers
//! ```

use burn::tensor::{Device, Tensor, TensorData};
use metric::{
    Distance, Pairwise, Reducer,
    losses::{PairLoss, TripletMargin},
};
use nearfar_core::data::catalog;
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let iris = catalog::open("iris", &root, &catalog::Options::default())?.train;
    let labels = iris.labels()?;
    let rows = TensorData::new(iris.features().into_vec(), [iris.len(), 4]);
    let device = Device::flex().autodiff();

    println!("{:<36} {:>10} {:>14} {:>10}", "reducer", "loss", "largest slope", "triplets");
    for (name, reducer) in [
        ("mean", Reducer::Mean),
        ("sum", Reducer::Sum),
        ("mean of those above zero", Reducer::AverageNonZero),
        ("mean of those above 0.1", Reducer::Threshold { low: Some(0.1), high: None }),
        ("virginica four times", Reducer::ClassWeighted { weights: vec![1.0, 1.0, 4.0] }),
        ("mean of each anchor, then of these", Reducer::PerAnchor),
    ] {
        let embeddings = Tensor::<2>::from_data(rows.clone(), &device).require_grad();
        let pairwise = Pairwise::new(Distance::default(), embeddings.clone(), labels, None)?;
        let loss = TripletMargin { margin: 0.2, reducer, ..TripletMargin::default() };
        let value = loss.forward(&pairwise, None)?;
        let gradient = embeddings.grad(&value.backward()).ok_or("the loss depends on its embeddings")?;
        let (value, slope) = (value.try_into_scalar::<f32>()?, gradient.abs().max().try_into_scalar::<f32>()?);
        let costs = loss.values(&pairwise, None)?.concat(); // of each triplet, not reduced
        let floor = if let Reducer::Threshold { low: Some(low), .. } = &loss.reducer { *low } else { 0.0 };
        let share = costs.iter().filter(|cost| **cost > floor).count() as f64 / costs.len() as f64;
        println!("{name:<36} {value:>10.4} {slope:>14.5} {:>9.1}%", 100.0 * share);
    }
    // A divisor that the loss does not give, a class without a weight: said before anything is computed wrongly.
    for reducer in [Reducer::Divisor, Reducer::ClassWeighted { weights: vec![1.0] }] {
        let embeddings = Tensor::<2>::from_data(rows.clone(), &device);
        let pairwise = Pairwise::new(Distance::default(), embeddings, labels, None)?;
        match (TripletMargin { reducer, ..TripletMargin::default() }).forward(&pairwise, None) {
            Ok(_) => return Err("this reducer should be refused".into()),
            Err(refused) => println!("refused: {refused}"),
        }
    }
    Ok(())
}
