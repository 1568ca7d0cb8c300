//! A loss alone is a function of tensors. What each is worth for two views of random images, for views that agree, and
//! where all embeddings have become one: the values that tell a collapse.
//!
//! ```text
//! cargo run --example loss_alone
//! ```

use burn::tensor::{Device, Tensor, TensorData};
use contrastive::losses::{
    VicRegWeights, align_uniform, barlow_twins, dcl, negative_cosine, nt_xent, sup_con_out, vicreg, w_mse,
};
use std::error::Error;

type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

fn main() -> Result<(), Box<dyn Error>> {
    let losses: [(&str, Loss); 8] = [
        ("nt_xent, t = 0.5", |a, b| nt_xent(a, b, 0.5)),
        ("dcl, t = 0.1", |a, b| dcl(a, b, 0.1)),
        ("negative_cosine", |a, b| negative_cosine(a, b.detach())),
        ("barlow_twins", |a, b| barlow_twins(a, b, 5e-3)),
        ("vicreg", |a, b| vicreg(a, b, VicRegWeights::default())),
        ("w_mse", |a, b| w_mse(a, b, 1e-3)),
        ("align_uniform", |a, b| align_uniform(a, b, 1.0, 2.0)),
        ("sup_con_out, two classes", |a, b| sup_con_out(&[a, b], &(0..64).map(|i| i % 2).collect::<Vec<usize>>(), 0.1)),
    ];
    let device = Device::flex().autodiff();
    let rows = |f: &dyn Fn(usize) -> f32| {
        let values = (0..64 * 16).map(f).collect::<Vec<f32>>();
        Tensor::<2>::from_data(TensorData::new(values, [64, 16]), &device)
    };
    // Numbers without a pattern, and without a generator that differs from device to device.
    let spread = |i: usize| (i as f32 * 12.9898).sin() * 43.758 % 1.0;
    let other = |i: usize| spread(i + 5000);
    let shifted = |i: usize| spread(i) + 0.3 * spread(i + 9000);
    let equal = |i: usize| ((i % 16) as f32).cos();

    println!("{:<26} {:>10} {:>10} {:>10} {:>22}", "loss", "unrelated", "related", "collapsed", "slope, related views");
    for (name, loss) in losses {
        let value =
            |a: &dyn Fn(usize) -> f32, b: &dyn Fn(usize) -> f32| loss(rows(a), rows(b)).try_into_scalar::<f32>();
        let a = rows(&spread).require_grad();
        let gradient = a.grad(&loss(a.clone(), rows(&shifted)).backward()).ok_or("a loss depends on its views")?;
        let slope = gradient.abs().max().try_into_scalar::<f32>()?;
        let values = [value(&spread, &other)?, value(&spread, &shifted)?, value(&equal, &equal)?];
        println!("{name:<26} {:>10.3} {:>10.3} {:>10.3} {slope:>22.5}", values[0], values[1], values[2]);
    }
    println!("\nln(2 x 64 - 1) = {:.3}, ln(2 x 64 - 2) = {:.3}", 127f32.ln(), 126f32.ln());
    Ok(())
}
