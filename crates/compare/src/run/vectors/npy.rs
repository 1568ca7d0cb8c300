//! NumPy's array file, version 1.0: magic, length of the header, a Python dictionary, the values.

use nearfar_core::matrix::Matrix;

/// What NumPy aligns the values to.
const ALIGNMENT: usize = 64;
/// Magic, version and length before the dictionary.
const PREFIX: usize = 10;

/// `rows`, `[n, d]`, as 32-bit floats, little endian, row after row.
pub fn encode(rows: &Matrix) -> Vec<u8> {
    let (n, d) = (rows.rows(), rows.cols());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    // Spaces and a line break fill the header up to the alignment.
    let length = (PREFIX + header.len() + 1).next_multiple_of(ALIGNMENT) - PREFIX;
    header.push_str(&" ".repeat(length - header.len() - 1));
    header.push('\n');
    let mut bytes = Vec::with_capacity(PREFIX + length + 4 * n * d);
    bytes.extend(b"\x93NUMPY\x01\x00");
    // Two numbers of at most twenty digits: the header is far below the 65,535 bytes of version 1.0.
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.as_slice().iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `numpy.save` writes `numpy.array([[1.5, -2.0]], dtype="<f4")`.
    #[test]
    fn equal_to_numpy() {
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        expected.extend(format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }").as_bytes());
        expected.extend([0x00, 0x00, 0xc0, 0x3f, 0x00, 0x00, 0x00, 0xc0]);
        assert_eq!(encode(&Matrix::new(vec![1.5, -2.0], 1, 2).unwrap()), expected);
    }

    #[test]
    fn values_begin_at_a_multiple_of_the_alignment() {
        for n in [0, 9, 10, 99_999] {
            let bytes = encode(&Matrix::zeros(n, 3));
            assert_eq!((bytes.len() - 12 * n) % ALIGNMENT, 0, "{n}");
            assert_eq!(bytes[bytes.len() - 12 * n - 1], b'\n', "{n}");
        }
    }
}
