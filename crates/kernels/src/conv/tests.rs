use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn values(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Calls `f(output index, input index, weight index)` for every product of the convolution.
fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let (ho, wo, k) = (g.ho(), g.wo(), g.kernel);
    for n in 0..g.n {
        for (oy, ox) in (0..ho * wo).map(|p| (p / wo, p % wo)) {
            for (ky, kx) in (0..k * k).map(|t| (t / k, t % k)) {
                let (y, x) = (oy * g.stride + ky, ox * g.stride + kx);
                if y < g.padding || x < g.padding || y - g.padding >= g.h || x - g.padding >= g.w {
                    continue;
                }
                let (y, x) = (y - g.padding, x - g.padding);
                for co in 0..g.cout {
                    for ci in 0..g.cin {
                        f(
                            ((n * ho + oy) * wo + ox) * g.cout + co,
                            ((n * g.h + y) * g.w + x) * g.cin + ci,
                            ((co * g.cin + ci) * k + ky) * k + kx,
                        );
                    }
                }
            }
        }
    }
}

fn assert_close(got: &[f32], want: &[f64], what: &str, g: &Geometry) {
    assert_eq!(got.len(), want.len());
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((*a as f64 - b).abs() <= 1e-4 * (1.0 + b.abs()), "{what}[{i}] = {a}, want {b}, {g:?}");
    }
}

fn check(g: &Geometry, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = values(&mut rng, g.n * g.h * g.w * g.cin);
    let weights = values(&mut rng, g.cout * g.cin * g.kernel * g.kernel);
    let out_len = g.n * g.ho() * g.wo() * g.cout;
    let grad = values(&mut rng, out_len);
    let (mut y, mut dx, mut dw) = (vec![0.0; out_len], vec![0.0; input.len()], vec![0.0; weights.len()]);
    products(g, |o, i, w| {
        y[o] += input[i] as f64 * weights[w] as f64;
        dx[i] += grad[o] as f64 * weights[w] as f64;
        dw[w] += grad[o] as f64 * input[i] as f64;
    });
    for level in Level::available() {
        assert_close(&forward(level, g, &input, &weights), &y, "y", g);
        assert_close(&input_gradient(level, g, &grad, &weights), &dx, "dx", g);
        assert_close(&weight_gradient(level, g, &input, &grad), &dw, "dw", g);
        assert_close(&direct_forward(level, g, &input, &weights), &y, "direct y", g);
        assert_close(&direct_input_gradient(level, g, &grad, &weights), &dx, "direct dx", g);
        assert_close(&direct_weight_gradient(level, g, &input, &grad), &dw, "direct dw", g);
    }
}

#[test]
fn encoder_shapes() {
    let base = Geometry { n: 3, h: 14, w: 14, cin: 64, cout: 64, kernel: 3, stride: 1, padding: 1 };
    check(&base, 0);
    check(&Geometry { cin: 1, h: 28, w: 28, ..base }, 1);
    check(&Geometry { stride: 2, cout: 128, h: 8, w: 8, ..base }, 2);
    check(&Geometry { stride: 2, kernel: 1, padding: 0, cout: 128, h: 8, w: 8, ..base }, 3);
    check(&Geometry { n: 40, h: 3, w: 3, ..base }, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn equals_the_definition(
        n in 1usize..5, h in 1usize..9, w in 1usize..9, cin in 1usize..36, cout in 1usize..36,
        three in any::<bool>(), stride in 1usize..3, seed in any::<u64>(),
    ) {
        let kernel = if three { 3 } else { 1 };
        check(&Geometry { n, h, w, cin, cout, kernel, stride, padding: kernel / 2 }, seed);
    }
}

/// Without a pixel or a channel nothing is summed: the results are zeros, not what the memory held.
#[test]
fn empty_sums_are_zero() {
    let base = Geometry { n: 2, h: 3, w: 3, cin: 2, cout: 3, kernel: 1, stride: 1, padding: 1 };
    for g in [Geometry { h: 0, w: 0, ..base }, Geometry { cin: 0, ..base }] {
        let weights = vec![1.0; g.cout * g.cin];
        let y = forward(Level::detect(), &g, &[], &weights);
        assert_eq!(y, vec![0.0; g.n * g.ho() * g.wo() * g.cout], "{g:?}");
        let dw = weight_gradient(Level::detect(), &g, &[], &vec![1.0; y.len()]);
        assert_eq!(dw, vec![0.0; weights.len()], "{g:?}");
    }
    let g = Geometry { cout: 0, padding: 0, ..base };
    assert_eq!(input_gradient(Level::detect(), &g, &[], &[]), vec![0.0; 2 * 9 * 2]);
}

#[test]
#[should_panic(expected = "the gradient does not fit")]
fn a_gradient_of_another_size_is_refused() {
    let g = Geometry { n: 2, h: 3, w: 3, cin: 2, cout: 3, kernel: 1, stride: 1, padding: 0 };
    input_gradient(Level::detect(), &g, &[0.0; 5], &[0.0; 6]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let g = Geometry { n: 37, h: 7, w: 7, cin: 24, cout: 40, kernel: 3, stride: 1, padding: 1 };
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let input = values(&mut rng, g.n * g.h * g.w * g.cin);
    let grad = values(&mut rng, g.n * g.ho() * g.wo() * g.cout);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| weight_gradient(Level::detect(), &g, &input, &grad))
    };
    assert_eq!(run(1), run(3));
}
