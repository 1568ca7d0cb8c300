use crate::tuples::Pair;

/// Pairs sorted by anchor, in their order: the columns of each anchor in one run.
#[derive(Debug)]
pub(crate) struct Grouped {
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl Grouped {
    /// Groups pairs whose anchors are below `rows`.
    pub(crate) fn new(pairs: &[Pair], rows: usize) -> Self {
        let mut starts = vec![0usize; rows + 1];
        pairs.iter().for_each(|pair| starts[pair.anchor as usize + 1] += 1);
        (0..rows).for_each(|a| starts[a + 1] += starts[a]);
        let (mut next, mut columns) = (starts.clone(), vec![0u32; pairs.len()]);
        for pair in pairs {
            let slot = &mut next[pair.anchor as usize];
            columns[*slot] = pair.other;
            *slot += 1;
        }
        Self { starts, columns }
    }

    /// Takes the columns of every anchor below `rows`.
    pub(crate) fn collect<I: Iterator<Item = usize>>(rows: usize, of: impl Fn(usize) -> I) -> Self {
        let (mut starts, mut columns) = (vec![0], Vec::new());
        for anchor in 0..rows {
            columns.extend(of(anchor).map(|column| column as u32));
            starts.push(columns.len());
        }
        Self { starts, columns }
    }

    /// The columns of an anchor; none for an anchor that is not below `rows`.
    pub(crate) fn get(&self, anchor: usize) -> &[u32] {
        match self.starts.get(anchor + 1) {
            Some(&end) => &self.columns[self.starts[anchor]..end],
            None => &[],
        }
    }

    /// Where the columns of `anchor` start among all.
    pub(crate) fn start(&self, anchor: usize) -> usize {
        self.starts[anchor]
    }

    /// The anchor of every column.
    pub(crate) fn anchors(&self) -> Vec<u32> {
        let rows = 0..self.starts.len() - 1;
        rows.flat_map(|a| std::iter::repeat_n(a as u32, self.starts[a + 1] - self.starts[a])).collect()
    }

    /// Every column of an anchor once, in increasing order.
    pub(crate) fn distinct(&self) -> Self {
        Self::collect(self.starts.len() - 1, |anchor| {
            let mut own = self.get(anchor).to_vec();
            own.sort_unstable();
            own.dedup();
            own.into_iter().map(|column| column as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_their_pairs() {
        let pairs = [(2, 5), (0, 1), (2, 3), (2, 5)].map(|(anchor, other)| Pair { anchor, other });
        let grouped = Grouped::new(&pairs, 4);
        assert_eq!([0, 1, 2, 3, 4].map(|a| grouped.get(a).to_vec()), [vec![1], vec![], vec![5, 3, 5], vec![], vec![]]);
        assert_eq!(grouped.anchors(), [0, 2, 2, 2]);
        assert_eq!(grouped.distinct().get(2), [3, 5]);
    }
}
