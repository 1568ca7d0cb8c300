//! A Parquet file of three columns: `path` (string), `label` (string, null where unknown) and `embedding` (a list of
//! floats; the format knows no lists of fixed length, but all are equally long).
//!
//! Plain encoding, no compression (embeddings hardly compress), one page a column and group of rows. That is little
//! enough to write here: Arrow's crate would bring a reader of everything for a writer of this. Read back by pyarrow and
//! fastparquet.

use super::{
    Vectors,
    thrift::{Struct, varint},
};

const MAGIC: &[u8; 4] = b"PAR1";
/// Most rows of a group.
const ROWS: usize = 65_536;
/// Most floats of a group: pages stay far below the 2 GiB that a header can state.
const FLOATS: usize = 1 << 22;

// Numbers that the format gives to types, repetitions, encodings and annotations.
const FLOAT: i32 = 4;
const BYTE_ARRAY: i32 = 6;
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const UNCOMPRESSED: i32 = 0;
const UTF8: i32 = 0;
const LIST: i32 = 3;
/// Fields of the union of logical types.
const LOGICAL_STRING: u8 = 1;
const LOGICAL_LIST: u8 = 3;

/// The content of the file. `about` becomes its metadata under the key `nearfar`.
pub fn encode(vectors: Vectors<'_>, about: &str) -> Vec<u8> {
    encode_in_groups(vectors, about, (FLOATS / vectors.features.cols().max(1)).clamp(1, ROWS))
}

fn encode_in_groups(vectors: Vectors<'_>, about: &str, rows: usize) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let mut groups = Vec::new();
    let n = vectors.names.len();
    for first in (0..n).step_by(rows) {
        groups.push(group(&mut file, vectors, first, n.min(first + rows)));
    }
    let mut entry = Struct::default();
    entry.text(1, "nearfar").text(2, about);
    let mut footer = Struct::default();
    footer.i32(1, 1).list(2, schema()).i64(3, n).list(4, groups).list(5, vec![entry]);
    footer.text(6, "nearfar");
    let footer = footer.finish();
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

/// The tree of columns, each node before its children.
fn schema() -> Vec<Struct> {
    let mut nodes: [Struct; 6] = Default::default();
    let [root, path, label, embedding, list, element] = &mut nodes;
    root.text(4, "embeddings").i32(5, 3);
    let string = |node: &mut Struct, name, repetition| {
        node.i32(1, BYTE_ARRAY).i32(3, repetition).text(4, name).i32(6, UTF8);
        node.nested(10, Struct::default().nested(LOGICAL_STRING, &mut Struct::default()));
    };
    string(path, "path", REQUIRED);
    string(label, "label", OPTIONAL);
    embedding.i32(3, REQUIRED).text(4, "embedding").i32(5, 1).i32(6, LIST);
    embedding.nested(10, Struct::default().nested(LOGICAL_LIST, &mut Struct::default()));
    list.i32(3, REPEATED).text(4, "list").i32(5, 1);
    element.i32(1, FLOAT).i32(3, REQUIRED).text(4, "element");
    nodes.into()
}

/// Writes the rows `first..end` and returns their entry of the footer.
fn group(file: &mut Vec<u8>, vectors: Vectors<'_>, first: usize, end: usize) -> Struct {
    let (rows, start) = (end - first, file.len());
    let d = vectors.features.cols();
    let labels = &vectors.labels[first..end];
    let columns = vec![
        column(file, BYTE_ARRAY, &["path"], rows, &texts(vectors.names[first..end].iter())),
        column(file, BYTE_ARRAY, &["label"], rows, &[known(labels), texts(labels.iter().flatten())].concat()),
        column(file, FLOAT, &["embedding", "list", "element"], rows * d, &lists(vectors, first, end)),
    ];
    let mut group = Struct::default();
    group.list(1, columns).i64(2, file.len() - start).i64(3, rows);
    group
}

/// Writes one page of `values` values and returns its column's entry of the footer.
fn column(file: &mut Vec<u8>, kind: i32, path: &[&str], values: usize, body: &[u8]) -> Struct {
    let at = file.len();
    let mut page = Struct::default();
    page.i32(1, values as i32).i32(2, PLAIN).i32(3, RLE).i32(4, RLE);
    let mut header = Struct::default();
    header.i32(1, 0).i32(2, body.len() as i32).i32(3, body.len() as i32).nested(5, &mut page);
    file.extend(header.finish());
    file.extend(body);
    let size = file.len() - at;
    let mut about = Struct::default();
    about.i32(1, kind).numbers(2, &[PLAIN, RLE]).texts(3, path).i32(4, UNCOMPRESSED);
    about.i64(5, values).i64(6, size).i64(7, size).i64(9, at);
    let mut column = Struct::default();
    column.i64(2, at).nested(3, &mut about);
    column
}

fn texts<'a>(values: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value.as_bytes());
    }
    bytes
}

/// Definition levels of the labels: 1 where there is one.
fn known(labels: &[Option<String>]) -> Vec<u8> {
    let mut runs = Vec::new();
    for run in labels.chunk_by(|a, b| a.is_some() == b.is_some()) {
        push_run(&mut runs, run.len(), run[0].is_some());
    }
    with_length(runs)
}

/// Repetition levels (0 where a list begins, 1 inside), definition levels (1, as no list is empty) and values.
fn lists(vectors: Vectors<'_>, first: usize, end: usize) -> Vec<u8> {
    let d = vectors.features.cols();
    let mut repetition = Vec::new();
    for _ in first..end {
        push_run(&mut repetition, 1, false);
        if d > 1 {
            push_run(&mut repetition, d - 1, true);
        }
    }
    let mut definition = Vec::new();
    push_run(&mut definition, (end - first) * d, true);
    let values = vectors.features.as_slice()[first * d..end * d].iter().flat_map(|v| v.to_le_bytes());
    let mut bytes = with_length(repetition);
    bytes.extend(with_length(definition));
    bytes.extend(values);
    bytes
}

/// A run of equal one-bit levels.
fn push_run(bytes: &mut Vec<u8>, length: usize, level: bool) {
    varint(bytes, (length as u64) << 1);
    bytes.push(u8::from(level));
}

fn with_length(levels: Vec<u8>) -> Vec<u8> {
    let mut bytes = (levels.len() as u32).to_le_bytes().to_vec();
    bytes.extend(levels);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::matrix::Matrix;

    /// Three rows in groups of two, which pyarrow 26 reads as `a.png, x, [0.5, -1]`, `b/ü.png, null, [2, 3.25]` and
    /// `c.png, "", [0, 1e-30]`.
    const FILE: &str = "\
        504152311500152a152a2c1504150015061506000005000000612e706e6708000000622fc3bc2e706e671500151a151a2c15 \
        041500150615060000040000000201020001000000781500154415442c150815001506150600000800000002000201020002 \
        010200000008010000003f000080bf00000040000050401500151215122c1502150015061506000005000000632e706e6715 \
        00151415142c15021500150615060000020000000201000000001500152c152c2c1504150015061506000004000000020002 \
        01020000000401000000006042a20d1502196c480a656d62656464696e6773150600150c250018047061746825004c1c0000 \
        00150c250218056c6162656c25004c1c00000035001809656d62656464696e67150215064c3c000000350418046c69737415 \
        0200150825001807656c656d656e74001606192c193c26081c150c192500061918047061746815001604164c164c26080000 \
        26541c150c192500061918056c6162656c15001604163c163c265400002690011c150819250006193809656d62656464696e \
        67046c69737407656c656d656e741500160816661666269001000016ee01160400193c26f6011c150c192500061918047061 \
        7468150016021634163426f601000026aa021c150c192500061918056c6162656c150016021636163626aa02000026e0021c \
        150819250006193809656d62656464696e67046c69737407656c656d656e7415001604164e164e26e002000016b801160200 \
        191c18076e65617266617218077b2261223a317d0018076e656172666172006e01000050415231";

    #[test]
    fn the_bytes_are_those_that_pyarrow_reads() {
        let names = ["a.png", "b/ü.png", "c.png"].map(str::to_owned);
        let labels = [Some("x".to_owned()), None, Some(String::new())];
        let features = Matrix::new(vec![0.5, -1.0, 2.0, 3.25, 0.0, 1e-30], 3, 2).unwrap();
        let vectors = Vectors { names: &names, labels: &labels, features: &features };
        let bytes = encode_in_groups(vectors, "{\"a\":1}", 2);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, FILE.split_whitespace().collect::<String>());
    }

    #[test]
    fn groups_hold_every_row_once_and_in_order() {
        let names: Vec<String> = (0..7).map(|i| format!("name-{i}")).collect();
        let labels: Vec<Option<String>> = vec![None; 7];
        let features = Matrix::from_fn(7, 1, |i, _| (i as f32 + 0.123).sqrt());
        let vectors = Vectors { names: &names, labels: &labels, features: &features };
        for rows in [1, 3, 7, 100] {
            let bytes = encode_in_groups(vectors, "", rows);
            let places = |what: &[u8]| -> Vec<usize> {
                bytes.windows(what.len()).enumerate().filter(|(_, w)| *w == what).map(|(at, _)| at).collect()
            };
            for wanted in [
                names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>(),
                features.as_slice().iter().map(|v| v.to_le_bytes().to_vec()).collect(),
            ] {
                let found: Vec<Vec<usize>> = wanted.iter().map(|what| places(what)).collect();
                assert!(found.iter().all(|places| places.len() == 1) && found.is_sorted(), "{rows}: {found:?}");
            }
        }
    }
}
