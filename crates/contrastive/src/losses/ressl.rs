use burn::tensor::{
    Tensor,
    activation::{log_softmax, softmax},
};
use nearfar_core::similarity::{dot_products, normalize_rows};

/// ReSSL (Zheng et al., 2021): the student's similarities to a queue must be the teacher's.
///
/// ```text
/// L = - sum over the queue of softmax(k . queue / t_teacher) log softmax(q . queue / t_student)
/// ```
///
/// Queries `[n, d]` of the student and keys `[n, d]` of the teacher show the same images, `queue [k, d]` holds unit
/// rows of other images. Mean over the rows. No gradient reaches keys or queue. The teacher's temperature must be the
/// lower one, both above 0: 0.04 against 0.1 in the paper.
///
/// # Panics
/// When queries and keys differ in shape.
pub fn ressl(
    queries: Tensor<2>,
    keys: Tensor<2>,
    queue: Tensor<2>,
    student_temperature: f64,
    teacher_temperature: f64,
) -> Tensor<1> {
    assert_eq!(queries.dims(), keys.dims(), "every query needs its key");
    let queue = queue.detach();
    let relations = |x: Tensor<2>, temperature| dot_products(normalize_rows(x), queue.clone()).div_scalar(temperature);
    let wanted = softmax(relations(keys.detach(), teacher_temperature), 1); // [n, k]
    let got = log_softmax(relations(queries, student_temperature), 1); // [n, k]
    -(wanted * got).sum_dim(1).mean()
}
