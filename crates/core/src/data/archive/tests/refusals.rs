//! Archives that are refused, each with its reason.

use super::*;

#[test]
fn entries_that_name_no_place_or_one_place_twice_are_refused() {
    let shelf = Shelf::new();
    let long = "x/".repeat(3_000) + "1.png";
    for bad in ["../1.png", "/a/1.png", "a/../../1.png", "a/..", "C:/a/1.png", long.as_str()] {
        for (ending, bytes) in packed(&images(&["a/1.png", "b/1.png", bad])) {
            let error = shelf.error(&format!("t.{ending}"), &bytes);
            assert!(matches!(&error, ArchiveError::Outside { entry, .. } if entry == bad), "{bad} {ending}: {error}");
        }
    }
    for bad in [["a/1.png", "a/1.png"], ["a/1.png", "./a//1.png"], ["a", "a/1.png"], ["a/1.png", "a"], ["a", "a/"]] {
        for (ending, bytes) in packed(&images(&[bad[0], bad[1], "b/1.png"])) {
            let error = shelf.error(&format!("t.{ending}"), &bytes);
            assert!(matches!(&error, ArchiveError::Repeated { entry, .. } if entry == bad[1]), "{bad:?}: {error}");
        }
    }
    // A folder may be named again and again, and after its files.
    let data = shelf.source("t.zip", &zipped(&images(&["a/", "a/1.png", "a/", "b/1.png"]))).unwrap().train;
    assert_eq!(data.class_names, ["a", "b"]);
}

#[test]
fn links_are_refused() {
    let shelf = Shelf::new();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("a/1.png", "../b/1.png", options(CompressionMethod::Stored)).unwrap();
    let linked = writer.finish().unwrap().into_inner();
    let is_link =
        |e: &ArchiveError| matches!(e, ArchiveError::NotAFile { what: "a link", entry, .. } if entry == "a/1.png");
    assert!(is_link(&shelf.error("t.zip", &linked)));
    for kind in [EntryType::Symlink, EntryType::Link] {
        let mut builder = Builder::new(Vec::new());
        builder.append_link(&mut header("", kind, 0), "a/1.png", "b/1.png").unwrap();
        assert!(is_link(&shelf.error("t.tar", &builder.into_inner().unwrap())));
    }
    let mut builder = Builder::new(Vec::new());
    builder.append(&header("a/pipe", EntryType::Fifo, 0), &b""[..]).unwrap();
    let message = shelf.error("t.tar", &builder.into_inner().unwrap()).to_string();
    assert!(message.contains("`a/pipe`, which is a device"), "{message}");
}

#[test]
fn names_with_the_separators_of_windows_are_paths() {
    let shelf = Shelf::new();
    let data = shelf.source("t.zip", &zipped(&images(&["a\\1.png", "b\\1.png"]))).unwrap().train;
    assert_eq!(data.class_names, ["a", "b"]);
}

/// Sets a byte of every header in a zip's table of contents.
fn set_in_headers(zip: &mut [u8], offset: usize, value: u8) {
    let starts: Vec<usize> = (0..zip.len()).filter(|&i| zip[i..].starts_with(b"PK\x01\x02")).collect();
    assert!(!starts.is_empty());
    starts.into_iter().for_each(|start| zip[start + offset] = value);
}

#[test]
fn encrypted_entries_and_other_methods_are_named() {
    let shelf = Shelf::new();
    let plain = zipped(&images(&["a/1.png", "b/1.png"]));
    let changed = |offset: usize, value: u8| {
        let mut bytes = plain.clone();
        set_in_headers(&mut bytes, offset, value);
        shelf.error("t.zip", &bytes)
    };
    let is_first = |entry: &str| entry == "a/1.png";
    assert!(matches!(changed(8, 1), ArchiveError::Encrypted { entry, .. } if is_first(&entry)));
    for (number, name) in [(9, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "Zstandard"), (97, "97")] {
        let error = changed(10, number);
        let expected = |entry: &str, method: &str| is_first(entry) && method.contains(name);
        assert!(matches!(&error, ArchiveError::Method { entry, method, .. } if expected(entry, method)), "{error}");
    }

    // Encrypted by AES, but not marked so.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["a/1.png", "b/1.png"] {
        writer.start_file_with_extra_data(name, options(CompressionMethod::Stored)).unwrap();
        // Id, length, version, vendor, strength, method.
        writer.write_all(&[0x99, 0x99, 7, 0, 1, 0, b'A', b'E', 3, 0, 0]).unwrap();
        writer.end_extra_data().unwrap();
        writer.write_all(b"sealed").unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    let ids: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i..].starts_with(&[0x99, 0x99, 7, 0])).collect();
    assert_eq!(ids.len(), 4);
    ids.into_iter().for_each(|id| bytes[id] = 0x01);
    assert!(matches!(shelf.error("t.zip", &bytes), ArchiveError::Encrypted { entry, .. } if is_first(&entry)));
}

#[test]
fn damage_is_named() {
    let shelf = Shelf::new();
    let entries = images(&["a/1.png", "b/1.png"]);
    let [(_, zip), (_, tar), (_, gz)] = packed(&entries);
    let damaged = |name: &str, bytes: &[u8]| match shelf.error(name, bytes) {
        ArchiveError::Damaged { place, reason, .. } => format!("{place}: {reason}"),
        other => panic!("{name}: {other}"),
    };
    for keep in [zip.len() / 2, zip.len() - 1, 10, 4] {
        damaged("t.zip", &zip[..keep]);
    }
    let mut altered = zip.clone();
    // Within the first file, which is stored, after its header and name.
    altered[30 + "a/1.png".len() + 40] ^= 1;
    assert!(damaged("t.zip", &altered).contains("the entry `a/1.png`"));
    for keep in [tar.len() / 2, 700, 512, 100, 0] {
        damaged("t.tar", &tar[..keep]);
    }
    assert!(damaged("t.tar", &tar[..tar.len() - 1_024]).contains("no end mark"));
    for keep in [gz.len() / 2, gz.len() - 1, 12] {
        damaged("t.tar.gz", &gz[..keep]);
    }
    let mut altered = gz.clone();
    let checksum = gz.len() - 8;
    altered[checksum] ^= 1;
    damaged("t.tar.gz", &altered);
    for name in ["t.zip", "t.tar", "t.tar.gz", "t.TGZ"] {
        damaged(name, b"this is no archive");
    }
}

#[test]
fn tables_are_no_archives_and_other_archives_are_named() {
    let shelf = Shelf::new();
    for (name, bytes) in [("t.csv", b"a,label\n1,x\n".to_vec()), ("t.csv.gz", gzip(b"a,label\n1,x\n")), ("t", vec![])] {
        assert!(Archive::open(&shelf.put(name, &bytes)).unwrap().is_none(), "{name}");
    }
    let others: [(&[u8], &str); 3] =
        [(b"7z\xbc\xaf\x27\x1c\0\x04", "7z"), (b"BZh91AY&SY....", "bzip2"), (b"Rar!\x1a\x07\x01\0", "RAR")];
    for (bytes, name) in others {
        assert!(matches!(shelf.error("t.any", bytes), ArchiveError::Format { format, .. } if format == name));
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let shelf = Shelf::new();
    let mut entries = images(&["a/2.png", "b/1.png"]);
    entries.push(("a/1.png".to_owned(), vec![0; 3 << 20]));
    let read = |ending: &str, bytes: &[u8], file: u64, total: u64| -> Result<Source, DataError> {
        let path = shelf.put(&format!("t.{ending}"), bytes);
        let archive = Archive::open_within(&path, Limits { file, total })?.expect("an archive");
        folder::open(&Tree::Archive(archive), "t", None)
    };
    for (ending, bytes) in packed(&entries) {
        let refused = |file: u64, total: u64| match read(ending, &bytes, file, total) {
            Err(DataError::Archive(ArchiveError::TooLarge { place, limit, .. })) => (place, limit),
            other => panic!("{ending}: {other:?}"),
        };
        assert_eq!(refused(1 << 20, 1 << 30), (place_of("a/1.png"), 1 << 20));
        assert_eq!(refused(1 << 30, 2 << 20), (WHOLE.to_owned(), 2 << 20));
        let message = read(ending, &bytes, 1 << 30, 1 << 30).unwrap_err().to_string();
        assert!(message.contains("cannot decode"), "{message}");
    }
    let limits = Limits::new(100 << 20);
    assert_eq!((limits.file, limits.total, Limits::new(5).total), (512 << 20, 10_000 << 20, 1 << 30));
}
