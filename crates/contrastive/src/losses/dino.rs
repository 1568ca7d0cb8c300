use burn::tensor::{
    Tensor,
    activation::{log_softmax, softmax},
};

/// DINO (Caron et al., 2021): the student's distribution over the outputs of a view must be the teacher's of another.
///
/// ```text
/// L = - mean over views s != t of sum over outputs of softmax((teacher_t - center) / t_teacher)
///                                                      log softmax(student_s / t_student)
/// ```
///
/// `student[s]`, `teacher[t]` `[n, k]`, the teacher's views being the first of the student's (the large crops).
/// `center [1, k]` keeps one output from winning everywhere, the low teacher temperature keeps all from being equal.
/// Mean over rows and pairs of different views. No gradient reaches teacher or center. The temperatures, above 0, are
/// 0.1 for the student and 0.04 to 0.07 for the teacher in the paper.
///
/// # Panics
/// When no pair of different views is left, or there are more teacher than student views.
pub fn dino(
    student: &[Tensor<2>],
    teacher: &[Tensor<2>],
    center: Tensor<2>,
    student_temperature: f64,
    teacher_temperature: f64,
) -> Tensor<1> {
    assert!(teacher.len() <= student.len(), "the student sees every view of the teacher");
    assert!(!teacher.is_empty() && student.len() >= 2, "two views are the least that differ");
    let wanted = teacher.iter().map(|t| {
        softmax((t.clone().detach() - center.clone().detach()).div_scalar(teacher_temperature), 1) // [n, k]
    });
    let got: Vec<Tensor<2>> =
        student.iter().map(|s| log_softmax(s.clone().div_scalar(student_temperature), 1)).collect();
    let mut terms = Vec::with_capacity(teacher.len() * (student.len() - 1));
    for (t, wanted) in wanted.enumerate() {
        for (_, got) in got.iter().enumerate().filter(|(s, _)| *s != t) {
            terms.push((wanted.clone() * got.clone()).sum_dim(1).mean()); // [1]
        }
    }
    -Tensor::cat(terms, 0).mean()
}

/// The moving mean of the teacher's outputs, without a graph: `momentum * center + (1 - momentum) * mean of the rows of
/// all views`, `[1, k]`. The momentum is 0.9 in paper and lightly.
///
/// # Panics
/// When there is no view.
pub fn dino_center(center: Tensor<2>, teacher: &[Tensor<2>], momentum: f64) -> Tensor<2> {
    let mean = Tensor::cat(teacher.to_vec(), 0).detach().mean_dim(0); // [1, k]
    center.detach().mul_scalar(momentum) + mean.mul_scalar(1.0 - momentum)
}
