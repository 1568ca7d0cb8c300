use super::{log_sum_exp, stacked};
use burn::tensor::{Bool, Tensor};
use nearfar_core::similarity::{
    cross_entropy, diagonal, dot_products, masked_logsumexp, same_label, same_label_positives,
};

/// The supervised contrastive loss over views (Khosla et al., 2020), `L_out`: the mean over positives stands outside
/// the logarithm.
///
/// ```text
/// L_a = - mean over positives p of log( exp(s_ap / t) / sum over j != a of exp(s_aj / t) )
/// ```
///
/// Views `[n, d]`, two at least, of `n` images with `labels`; positives are the other rows of the anchor's class. Mean
/// over all rows, temperature `t` above 0 (0.1 in the paper), without the factor `t / 0.07` of the authors' code. The
/// paper's choice: on ImageNet 78.7 against `L_in`'s 67.4.
///
/// # Panics
/// When there are fewer than two views, their shapes differ, or labels do not number the images.
pub fn sup_con_out(views: &[Tensor<2>], labels: &[usize], temperature: f64) -> Tensor<1> {
    let z = stacked(views); // [v n, d]
    assert_eq!(z.dims()[0], views.len() * labels.len(), "every image needs one label");
    cross_entropy(z, None, &same_label_positives(&labels.repeat(views.len())), temperature)
}

/// `L_in` of the paper: the mean over positives stands inside the logarithm.
///
/// ```text
/// L_a = - log( mean over positives p of exp(s_ap / t) / sum over j != a of exp(s_aj / t) )
/// ```
///
/// # Panics
/// As [`sup_con_out`].
pub fn sup_con_in(views: &[Tensor<2>], labels: &[usize], temperature: f64) -> Tensor<1> {
    let Parts { logits, positive, all } = Parts::new(views, labels, temperature);
    let count = positive.clone().float().sum_dim(1); // [v n, 1]
    (all - masked_logsumexp(logits, positive) + count.log()).mean()
}

/// What solo-learn calls SupCon: as [`sup_con_in`] with the sum of the positives instead of their mean, so the value
/// falls with their number.
///
/// # Panics
/// As [`sup_con_out`].
pub fn sup_con_sum_inside(views: &[Tensor<2>], labels: &[usize], temperature: f64) -> Tensor<1> {
    let Parts { logits, positive, all } = Parts::new(views, labels, temperature);
    (all - masked_logsumexp(logits, positive)).mean()
}

/// What the variants share.
struct Parts {
    /// Cosines over the temperature, `[v n, v n]`.
    logits: Tensor<2>,
    /// Other rows of the same class, `[v n, v n]`.
    positive: Tensor<2, Bool>,
    /// Log-sum-exp over all other rows, `[v n, 1]`.
    all: Tensor<2>,
}

impl Parts {
    fn new(views: &[Tensor<2>], labels: &[usize], temperature: f64) -> Self {
        let z = stacked(views); // [v n, d]
        let [rows, _] = z.dims();
        assert_eq!(rows, views.len() * labels.len(), "every image needs one label");
        let labels = labels.repeat(views.len());
        let itself = diagonal(rows, &z.device());
        let positive = same_label(&labels, &labels, &z.device()).bool_and(itself.clone().bool_not());
        let logits = dot_products(z.clone(), z).div_scalar(temperature);
        let all = log_sum_exp(logits.clone().mask_fill(itself, -1e30), 1);
        Self { logits, positive, all }
    }
}
