use super::log_sum_exp;
use burn::tensor::{Tensor, activation::log_softmax};

/// Assigns rows to prototypes in equal shares (Cuturi, 2013; Caron et al., 2020): scores `[n, k]` to codes `[n, k]`
/// whose rows sum to one, without a graph.
///
/// `iterations` times the columns, then the rows of `exp(scores / epsilon)` are scaled to equal sums. Done on
/// logarithms: scores over 0.05 would overflow the exponential. 3 iterations and an epsilon of 0.05 in the paper.
pub fn sinkhorn(scores: Tensor<2>, iterations: usize, epsilon: f64) -> Tensor<2> {
    let mut codes = scores.detach().div_scalar(epsilon);
    for _ in 0..iterations {
        codes = codes.clone() - log_sum_exp(codes, 0);
        codes = codes.clone() - log_sum_exp(codes, 1);
    }
    codes.exp()
}

/// SwAV's swapped prediction (Caron et al., 2020): every view must predict the codes of the others.
///
/// `scores[v] [n, k]` are a view's cosines with the prototypes, `codes[i] [n, k]` the [`sinkhorn`] codes of view `i`,
/// for the first views at least (the large crops). Cross entropy at `temperature` (0.1 in the paper), mean over rows,
/// over the views that predict and over the codes, as in lightly.
///
/// # Panics
/// When there are fewer than two views, no codes, or more codes than views.
pub fn swav(scores: &[Tensor<2>], codes: &[Tensor<2>], temperature: f64) -> Tensor<1> {
    let views = scores.len();
    assert!(views >= 2, "a view needs another one to predict, got {views}");
    assert!((1..=views).contains(&codes.len()), "{views} views cannot have the codes of {} views", codes.len());
    let predictions: Vec<Tensor<2>> =
        scores.iter().map(|s| log_softmax(s.clone().div_scalar(temperature), 1)).collect();
    let mut terms = Vec::with_capacity(codes.len() * (views - 1));
    for (i, code) in codes.iter().enumerate() {
        for (_, prediction) in predictions.iter().enumerate().filter(|(v, _)| *v != i) {
            terms.push((code.clone() * prediction.clone()).sum_dim(1).mean()); // [1]
        }
    }
    -Tensor::cat(terms, 0).mean()
}
