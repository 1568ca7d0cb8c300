//! Losses at worked values, on both CPU backends: small batches, chance levels, collapse.

#![recursion_limit = "256"] // Burn's module types nest deeply

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, check, devices, values};
use contrastive::losses::{
    VicRegWeights, align_uniform, alignment, barlow_twins, byol_regression, dcl, dclw, dino, dino_center, info_nce,
    koleo, mmcr, moco_v3, negative_cosine, nnclr, nt_xent, nt_xent_views, ressl, sinkhorn, sup_con_in, sup_con_out,
    sup_con_sum_inside, swav, tico, tico_covariance, uniformity, vicreg, w_mse,
};

/// Two views of four images; the first three are the worked examples' usual batch.
fn views(images: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let a = Tensor::<2>::from_data([[1.0, 2.0], [3.0, -1.0], [-1.0, 1.0], [-2.0, 1.0]], device);
    let b = Tensor::<2>::from_data([[2.0, 1.0], [1.0, -1.0], [0.0, 1.0], [-1.0, 0.0]], device);
    (a.narrow(0, 0, images), b.narrow(0, 0, images))
}

/// The two axes of the plane.
fn unit_axes(device: &Device) -> Tensor<2> {
    Tensor::from_data([[1.0, 0.0], [0.0, 1.0]], device)
}

#[test]
fn nt_xent_has_its_worked_values() {
    for device in devices() {
        for (images, temperature, wanted) in [
            (3, 1.0, 1.0847022229),
            (3, 0.5, 0.8151372974),
            (3, 0.2, 0.5883941129),
            (3, 0.1, 0.6378415540),
            (4, 0.5, 0.9984353265),
            (4, 0.1, 0.9433464774),
        ] {
            let (a, b) = views(images, &device);
            check(&format!("{images} images at {temperature}"), nt_xent(a, b, temperature), wanted);
        }
        check("axes", nt_xent(unit_axes(&device), unit_axes(&device), 0.5), 0.2395447662);
        for temperature in [0.05, 0.5, 5.0] {
            // 2 x 8 rows that cannot be told apart: chance among the 15 others.
            let same = Tensor::<2>::from_data([[0.3, -2.0, 1.1]; 8], &device);
            check("identical rows", nt_xent(same.clone(), same, temperature), 15f64.ln());
        }
    }
}

#[test]
fn info_nce_has_its_worked_values() {
    for device in devices() {
        let keys = Tensor::<2>::from_data([[0.6, 0.8], [0.6, 0.8]], &device);
        let queue = Tensor::<2>::from_data([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], &device);
        for (temperature, wanted) in
            [(0.07, 4.3152839947), (0.1, 3.0726235393), (0.2, 1.7309325884), (0.5, 1.2127534040)]
        {
            let loss = info_nce(unit_axes(&device), keys.clone(), queue.clone(), temperature);
            check(&format!("queue at {temperature}"), loss, wanted);
        }
        for (length, wanted) in [(4096, 8.3180102775), (65536, 11.0903701476)] {
            let one = Tensor::<2>::from_data([[0.6, 0.8]], &device);
            let loss = info_nce(one.clone(), one.clone(), one.repeat_dim(0, length), 0.2);
            check(&format!("chance among {length} keys"), loss, wanted);
        }
    }
}

#[test]
fn cosine_losses_have_their_worked_values() {
    for device in devices() {
        let (a, b) = views(3, &device);
        check("SimSiam", negative_cosine(a.clone(), b.clone()), -0.8005113241);
        check("BYOL", byol_regression(a.clone(), b.clone()), 0.3989773519);
        for (row, cosine) in [0.8, 0.8944271910, std::f64::consts::FRAC_1_SQRT_2].into_iter().enumerate() {
            let (a, b) = (a.clone().narrow(0, row, 1), b.clone().narrow(0, row, 1));
            check("one row", negative_cosine(a, b), -cosine);
        }
        check("collapse", negative_cosine(a.clone(), a), -1.0);
    }
}

/// The ten steps of lightly's own test of its gathered losses: a linear layer, plain SGD.
#[test]
fn ten_steps_of_sgd_end_at_lightlys_weights() {
    for device in devices() {
        let counting = |n: usize, d: usize| {
            let numbers: Vec<f32> = (0..n * d).map(|i| i as f32).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [n, d]), &device)
        };
        let (xs, ys) = (counting(16, 5), counting(8, 4)); // two inputs of five numbers an image; their targets
        let mut weights = Tensor::<2>::from_data([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 1.0]], &device);
        let loss = |weights: Tensor<2>| {
            let outputs = xs.clone().matmul(weights.transpose()); // [16, 2]
            nt_xent(outputs.reshape([8, 4]), ys.clone(), 0.5)
        };
        check("first loss", loss(weights.clone()), 2.7251383949);
        for _ in 0..10 {
            let leaf = weights.require_grad();
            let gradient = leaf.grad(&loss(leaf.clone()).backward()).expect("the loss depends on the weights");
            weights = Tensor::from_inner(leaf.inner() - gradient.mul_scalar(0.1));
        }
        check("last loss", loss(weights.clone()), 2.6984227389);
        let wanted = [0.1675, 0.2676, 0.3678, 0.4679, 0.5680, 0.5763, 0.6742, 0.7721, 0.8700, 0.9679];
        assert_close("weights", &values(weights), &wanted, 1e-4);
    }
}

#[test]
fn decoupled_losses_have_their_worked_values() {
    for device in devices() {
        let (a, b) = views(3, &device);
        for (temperature, wanted) in [(1.0, 0.6561034511), (0.5, 0.1537610878), (0.1, -1.5938430884)] {
            check(&format!("DCL at {temperature}"), dcl(a.clone(), b.clone(), temperature), wanted);
        }
        // Weights that hardly tell pairs apart are all one.
        check("DCLW", dclw(a.clone(), b.clone(), 0.5, 1e6), 0.1537610878);
    }
}

#[test]
fn moco_v3_has_its_worked_values() {
    for device in devices() {
        let (a, b) = views(3, &device);
        check("one way", moco_v3(a.clone(), b.clone(), 0.2), 0.1729122288);
        let both = moco_v3(a.clone(), b.clone(), 0.2) + moco_v3(b, a, 0.2);
        check("both ways", both, 0.4077624623);
    }
}

#[test]
fn supervised_losses_over_views_have_their_worked_values() {
    for device in devices() {
        let (a, b) = views(4, &device);
        let (views, labels) = ([a.clone(), b.clone()], [0, 1, 0, 1]);
        for (temperature, out, inside, sum) in
            [(0.1, 8.3139334864, 1.6232241255, 0.5246118368), (0.5, 2.4725527283, 1.6946235291, 0.5960112405)]
        {
            check(&format!("L_out at {temperature}"), sup_con_out(&views, &labels, temperature), out);
            check(&format!("L_in at {temperature}"), sup_con_in(&views, &labels, temperature), inside);
            let loss = sup_con_sum_inside(&views, &labels, temperature);
            check(&format!("sum inside at {temperature}"), loss, sum);
        }
        for (temperature, wanted) in [(0.5, 0.9984353265), (0.1, 0.9433464774)] {
            let own = [0, 1, 2, 3];
            check("a class an image", sup_con_out(&views, &own, temperature), wanted);
            check("a class an image", sup_con_in(&views, &own, temperature), wanted);
            check("two views", nt_xent_views(&views, None, temperature), wanted);
        }
    }
}

#[test]
fn spread_has_its_worked_values() {
    for device in devices() {
        let (a, b) = views(3, &device);
        check("uniformity of a", uniformity(a.clone(), 2.0), -3.4250037761);
        check("uniformity of b", uniformity(b.clone(), 2.0), -2.8384673571);
        check("uniformity of the axes", uniformity(unit_axes(&device), 2.0), -4.0);
        check("alignment", alignment(a.clone(), b.clone()), 0.3989773519);
        let wanted = 0.3989773519 - 0.5 * (3.4250037761 + 2.8384673571) / 2.0;
        check("both", align_uniform(a, b, 0.5, 2.0), wanted);
        let opposite = Tensor::<2>::from_data([[0.0, 1.0], [0.0, -1.0]], &device);
        check("KoLeo of opposites", koleo(opposite), -(2f64.ln()));
        check("KoLeo of the axes", koleo(unit_axes(&device)), -(2f64.sqrt().ln()));
    }
}

/// Rows that are exact in every float: quarters without structure.
fn quarters(n: usize, d: usize, shift: usize, device: &Device) -> Tensor<2> {
    let x: Vec<f32> = (0..n * d).map(|i| ((3 * i * i + 7 * i + shift) % 11) as f32 / 4.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(x, [n, d]), device)
}

/// Computed by lightly 1.6.0 in f64.
#[test]
fn whitened_views_have_lightlys_value() {
    for device in devices() {
        let loss = w_mse(quarters(8, 3, 0, &device), quarters(8, 3, 5, &device), 0.01);
        check("W-MSE", loss, 2.697238643225847);
    }
}

/// Computed by lightly 1.6.0 in f64.
#[test]
fn dino_has_lightlys_value() {
    for device in devices() {
        let student = [0, 1, 4].map(|shift| quarters(3, 4, shift, &device));
        let teacher = [2, 6].map(|shift| quarters(3, 4, shift, &device));
        let center = Tensor::<2>::from_data([[0.0, 0.1, 0.2, 0.3]], &device);
        check("DINO", dino(&student, &teacher, center.clone(), 0.1, 0.04), 9.942751805661379);
        let moved = values(dino_center(center, &teacher, 0.9));
        assert_close("center", &moved, &[-0.004_166_667, 0.065, 0.238_333_33, 0.286_666_67], 1e-5);
    }
}

/// Every loss has the value that its method names for embeddings that are all equal.
#[test]
fn collapse_has_its_fingerprints() {
    const N: usize = 8;
    for device in devices() {
        let same = Tensor::<2>::from_data([[0.6, 0.0, -0.8]; N], &device);
        let (a, b) = (same.clone(), same.clone());
        let chance = (N as f64).ln();
        check("DCL", dcl(a.clone(), b.clone(), 0.1), (2.0 * N as f64 - 2.0).ln());
        check("DCLW", dclw(a.clone(), b.clone(), 0.1, 0.5), (2.0 * N as f64 - 2.0).ln());
        check("MoCo v3", moco_v3(a.clone(), b.clone(), 0.2), 0.4 * chance);
        check("NNCLR", nnclr(a.clone(), b.clone(), 0.2), chance);
        check("ReSSL", ressl(a.clone(), b.clone(), same.clone(), 0.1, 0.04), chance);
        check("Barlow Twins", barlow_twins(a.clone(), b.clone(), 5e-3), 3.0);
        check("VICReg", vicreg(a.clone(), b.clone(), VicRegWeights::default()), 25.0 * 0.99);
        check("W-MSE", w_mse(a.clone(), b.clone(), 1e-3), 2.0);
        let covariance = tico_covariance(Tensor::zeros([3, 3], &device), a.clone(), 0.0);
        check("TiCo", tico(a.clone(), b.clone(), covariance, 8.0), 8.0);
        let wanted = 0.01 * 2f64.sqrt() - (N as f64).sqrt();
        check("MMCR", mmcr(&[a, b], 0.01), wanted);
        let flat = Tensor::<2>::full([N, 5], 0.3, &device);
        let codes = sinkhorn(flat.clone(), 3, 0.05);
        check("SwAV", swav(&[flat.clone(), flat.clone()], &[codes], 0.1), 5f64.ln());
        let center = Tensor::zeros([1, 5], &device);
        check("DINO", dino(&[flat.clone(), flat.clone()], &[flat.clone(), flat], center, 0.1, 0.04), 5f64.ln());
    }
}
