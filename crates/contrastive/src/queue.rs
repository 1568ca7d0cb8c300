use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// MoCo's queue of negative keys: first in, first out, always full.
///
/// The keys lie in order of age, so there is no write position: adding a batch drops as many of the oldest, whatever
/// the two sizes are. A batch longer than the queue leaves its newest keys. The keys are part of the module's record.
#[derive(Module, Debug)]
pub struct Queue {
    keys: Param<Tensor<2>>,
}

impl Queue {
    /// `length` random directions of `dimension` numbers from `seed`: unit length, as the keys that follow.
    pub fn new(length: usize, dimension: usize, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values: Vec<f32> = (0..length * dimension).map(|_| StandardNormal.sample(&mut rng)).collect();
        for key in values.chunks_exact_mut(dimension.max(1)) {
            let norm = key.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            key.iter_mut().for_each(|v| *v /= norm);
        }
        let keys = Tensor::from_data(TensorData::new(values, [length, dimension]), device);
        Self { keys: Param::from_tensor(keys).set_require_grad(false) }
    }

    /// The keys, oldest first: `[length, dimension]`, without a graph.
    pub fn keys(&self) -> Tensor<2> {
        self.keys.val()
    }

    /// Adds `keys [n, dimension]`, whose rows must have unit length, as the newest.
    pub fn enqueue(&mut self, keys: Tensor<2>) {
        let [length, _] = self.keys.dims();
        let [n, _] = keys.dims();
        let keys = keys.detach();
        let kept = n.min(length);
        let newest = keys.narrow(0, n - kept, kept);
        let all = if kept == length {
            newest
        } else {
            Tensor::cat(vec![self.keys().narrow(0, kept, length - kept), newest], 0)
        };
        let id = self.keys.id;
        self.keys = Param::initialized(id, all.detach()).set_require_grad(false);
    }
}

/// One queue a view (solo-learn's MoCo, SwAV), or one for all views.
///
/// Keys of one view are then compared with keys of that view alone: views of two different recipes differ by their
/// recipe too.
#[derive(Module, Debug)]
pub struct ViewQueues {
    queues: Vec<Queue>,
}

impl ViewQueues {
    /// `count` queues as [`Queue::new`], each from a seed of its own; none of them if `length` is 0.
    pub fn new(count: usize, length: usize, dimension: usize, seed: u64, device: &Device) -> Self {
        let count = if length == 0 { 0 } else { count };
        let queues = (0..count as u64).map(|i| Queue::new(length, dimension, seed.wrapping_add(i), device));
        Self { queues: queues.collect() }
    }

    /// The keys that belong to a view: of its own queue, or of the only one. `None` without queues.
    pub fn keys(&self, view: usize) -> Option<Tensor<2>> {
        self.queues.get(view).or(self.queues.last()).map(Queue::keys)
    }

    /// Adds `keys[v] [n, dimension]`, unit rows of view `v`, to the queue of their view, or all of them in order to the
    /// only one.
    pub fn enqueue(&mut self, keys: Vec<Tensor<2>>) {
        let last = self.queues.len().saturating_sub(1);
        for (view, keys) in keys.into_iter().enumerate() {
            if let Some(queue) = self.queues.get_mut(view.min(last)) {
                queue.enqueue(keys);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(values: &[f32], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
    }

    #[test]
    fn starts_with_unit_keys_of_the_seed() {
        let device = Device::flex();
        let queue = Queue::new(20, 3, 5, &device);
        let values = queue.keys().try_into_vec_as::<f32>().unwrap();
        assert!(values.chunks(3).all(|k| (k.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5));
        assert_eq!(values, Queue::new(20, 3, 5, &device).keys().try_into_vec_as::<f32>().unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Batches that do not divide the length wrap around many times.
        #[test]
        fn equals_a_plain_list(length in 1usize..12, batches in prop::collection::vec(1usize..20, 1..12)) {
            let device = Device::flex();
            let mut queue = Queue::new(length, 1, 0, &device);
            let mut list = queue.keys().try_into_vec_as::<f32>().unwrap();
            let mut next = 0.0;
            for batch in batches {
                let keys: Vec<f32> = (0..batch).map(|i| next + i as f32).collect();
                next += batch as f32;
                queue.enqueue(rows(&keys, &device));
                list.extend(keys);
                list.drain(..list.len() - length);
                prop_assert_eq!(&queue.keys().try_into_vec_as::<f32>().unwrap(), &list);
            }
        }
    }

    #[test]
    fn views_have_queues_of_their_own_or_share_one() {
        let device = Device::flex();
        let read = |q: &ViewQueues, view| q.keys(view).map(|k| k.try_into_vec_as::<f32>().unwrap());
        let keys = || vec![rows(&[7.0], &device), rows(&[8.0], &device)];
        let mut apart = ViewQueues::new(2, 2, 1, 0, &device);
        apart.enqueue(keys());
        apart.enqueue(keys());
        assert_eq!((read(&apart, 0), read(&apart, 1)), (Some(vec![7.0, 7.0]), Some(vec![8.0, 8.0])));
        let mut shared = ViewQueues::new(1, 2, 1, 0, &device);
        shared.enqueue(keys());
        assert_eq!((read(&shared, 0), read(&shared, 1)), (Some(vec![7.0, 8.0]), Some(vec![7.0, 8.0])));
        let mut none = ViewQueues::new(2, 0, 1, 0, &device);
        none.enqueue(keys());
        assert_eq!(read(&none, 0), None);
    }

    #[test]
    fn is_saved_and_loaded_with_its_module() {
        let device = Device::flex().autodiff();
        let mut queue = Queue::new(5, 1, 1, &device);
        queue.enqueue(rows(&[7.0, 8.0], &device));
        let record = queue.clone().into_record();
        let loaded = Queue::new(5, 1, 2, &device).load_record(record);
        assert_eq!(loaded.keys().try_into_vec_as::<f32>().unwrap(), queue.keys().try_into_vec_as::<f32>().unwrap());
        assert!(!loaded.keys().is_tracked());
    }
}
