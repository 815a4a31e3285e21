use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const GOOD: &str = r#"{"prompt": "a", "completion": "b"}"#;

/// The records of a file with these bytes and this name: the number of each, and its text or what
/// is wrong with it.
fn records_of(name: &str, bytes: &[u8]) -> Vec<(usize, std::result::Result<String, String>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut seen = Vec::new();
    let read = each_batch(&path, &mut |batch| {
        assert!(batch.records.len() <= BATCH_RECORDS);
        for record in batch.records {
            let text = record.text.map(|text| String::from_utf8_lossy(&text).into_owned());
            seen.push((record.number, text));
        }
        Ok(())
    });
    if let Err(TrainError::Data { line, reason, .. }) = read {
        seen.push((line, Err(reason)));
    }
    seen
}

fn numbers(seen: &[(usize, std::result::Result<String, String>)]) -> Vec<(usize, bool)> {
    seen.iter().map(|(number, text)| (*number, text.is_ok())).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn padded(bytes: usize) -> Vec<u8> {
    let (begin, end) = (br#"{"prompt": ""#, br#"", "completion": "b"}"#);
    let mut line = begin.to_vec();
    line.resize(bytes - end.len(), b'a');
    line.extend(end);
    line
}

/// The only problem of a file, and its location.
fn refusal(name: &str, bytes: &[u8]) -> (usize, String) {
    let mut bad =
        records_of(name, bytes).into_iter().filter_map(|(at, text)| Some((at, text.err()?)));
    let first = bad.next().unwrap_or_else(|| panic!("{name} is taken"));
    assert_eq!(bad.next(), None, "{name}");
    first
}

#[test]
fn the_longest_line_is_used_and_one_byte_more_is_refused_by_number() {
    let lines = |parts: &[&[u8]]| numbers(&records_of("a.jsonl", &parts.join(&b'\n')));
    let (most, more) = (padded(MAX_LINE_BYTES), padded(MAX_LINE_BYTES + 1));
    assert_eq!(lines(&[&most, GOOD.as_bytes()]), [(1, true), (2, true)]);
    assert_eq!(lines(&[&more, GOOD.as_bytes()]), [(1, false), (2, true)]);
    assert_eq!(lines(&[&more]), [(1, false)]);
    assert_eq!(lines(&[&most]), [(1, true)]);
}

#[test]
fn batches_lose_no_line_and_keep_their_order() {
    let text = format!("{GOOD}\n\n").repeat(3 * BATCH_RECORDS + 1);
    let seen = numbers(&records_of("a.jsonl", text.as_bytes()));
    let expected: Vec<_> = (0..=3 * BATCH_RECORDS).map(|line| (2 * line + 1, true)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_part_of_a_record() {
    let text = format!("\u{feff}{GOOD}\r\n\r\n\u{feff}{GOOD}\r\n");
    let good = || Ok(GOOD.to_owned());
    assert_eq!(records_of("a.jsonl", text.as_bytes()), [(1, good()), (3, good())]);
    let array = format!("\u{feff} \n[{GOOD}]");
    assert_eq!(records_of("a.json", array.as_bytes()), [(1, good())]);
}

#[test]
fn the_items_of_an_array_are_found_however_they_are_written() {
    let tricky = r#"{"a": "]},[{\"", "b": [1, {"c": "\\"}], "d": {}}"#;
    for (text, expected) in [
        (format!("[{tricky},{GOOD}]"), vec![tricky, GOOD]),
        (format!("[\n  {tricky}\n  ,\n  {GOOD}\n]\n"), vec![tricky, GOOD]),
        (
            "[1, true,\"a]\" , null,-2.5e3]".to_owned(),
            vec!["1", "true", "\"a]\"", "null", "-2.5e3"],
        ),
        ("[[1],[]]".to_owned(), vec!["[1]", "[]"]),
    ] {
        let expected: Vec<_> =
            expected.iter().enumerate().map(|(i, text)| (i + 1, Ok((*text).to_owned()))).collect();
        assert_eq!(records_of("a.json", text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn an_array_that_is_none_is_refused_where_it_ends_to_be_one() {
    for (text, at, reason) in [
        ("[]", 0, "no examples"),
        ("[", 1, "the file is cut off"),
        ("[{\"a\": 1}", 2, "the file is cut off"),
        ("[{\"a\": 1}, {\"a", 2, "the file is cut off"),
        ("[{\"a\": 1},]", 2, "a comma too many"),
        ("[,{\"a\": 1}]", 1, "a comma too many"),
        ("[{\"a\": 1} {\"a\": 2}]", 2, "no comma"),
        ("[{\"a\": 1}] {\"a\": 2}", 2, "a file holds one array"),
        ("[{\"a\": 1}]\n[{\"a\": 2}]", 2, "a file holds one array"),
    ] {
        let (found, said) = refusal("a.json", text.as_bytes());
        assert_eq!(found, at, "{text}: {said}");
        assert!(said.contains(reason), "{text}: {said}");
    }
    let long = [b"[".as_slice(), &padded(MAX_LINE_BYTES + 1), b",", GOOD.as_bytes(), b"]"].concat();
    assert_eq!(numbers(&records_of("a.json", &long)), [(1, false), (2, true)]);
}

#[test]
fn gzip_is_told_by_its_content_and_all_members_are_read() {
    let two = [gzip(format!("{GOOD}\n").as_bytes()), gzip(GOOD.as_bytes())].concat();
    for name in ["a.jsonl.gz", "a.jsonl"] {
        assert_eq!(numbers(&records_of(name, &two)), [(1, true), (2, true)]);
    }
    let array = gzip(format!("[{GOOD}, {GOOD}]").as_bytes());
    assert_eq!(numbers(&records_of("a.json.gz", &array)), [(1, true), (2, true)]);
    // The content decides, not the name.
    assert_eq!(numbers(&records_of("a.jsonl.gz", GOOD.as_bytes())), [(1, true)]);
}

#[test]
fn gzip_that_is_cut_off_or_damaged_is_never_a_shorter_file() {
    let text: String = (0..20_000).map(|i| format!("{{\"text\": \"{i}\"}}\n")).collect();
    let whole = gzip(text.as_bytes());
    for end in [12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let (_, reason) = refusal("a.jsonl.gz", &whole[..end]);
        assert!(reason.contains("cut off"), "{end}: {reason}");
    }
    let mut damaged = whole.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    assert!(refusal("a.jsonl.gz", &damaged).1.contains("damaged"));
    let tail = [whole, b"something else".to_vec()].concat();
    assert!(refusal("a.jsonl.gz", &tail).1.contains("followed by something else"));
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let tar = [vec![b'a'; 257], b"ustar\0".to_vec()].concat();
    let files: &[(&str, &[u8], &str)] = &[
        ("a.jsonl", b"\x28\xb5\x2f\xfd....", "zstd"),
        ("a.jsonl", b"BZh91AY", "bzip2"),
        ("a.jsonl", b"\xfd7zXZ\0\0", "xz"),
        ("a.json", b"PK\x03\x04....", "zip"),
        ("a.arrow", b"ARROW1\0\0", "Arrow"),
        ("a.arrow", b"\xff\xff\xff\xff\x10\x02", "Arrow"),
        ("a.jsonl", b"\x04\x22\x4d\x18....", "LZ4"),
        ("a.jsonl", b"\xff\x06\0\0sNaPpY", "Snappy"),
        ("a.parquet", b"PARE....", "encrypted Parquet"),
        ("a.zip", b"PK\x05\x06", "empty zip"),
        ("a.rar", b"Rar!\x1a\x07", "RAR"),
        ("a.npy", b"\x93NUMPY", "NumPy"),
        ("model.gguf", b"GGUF\x03\0\0\0", "a model"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n", "an image"),
        ("a.jsonl", b"SQLite format 3\0", "SQLite"),
        ("a.jsonl", b"\xff\xfe{\0\"\0", "UTF-16"),
        ("a.jsonl", b"{\0\"\0a\0", "UTF-16"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("a.jsonl", b" <!DOCTYPE html>", "web page"),
        ("a.pkl", b"\x80\x04\x95", "pickle"),
        ("a.csv", b"instruction,output\na,b\n", "CSV"),
        ("a.TSV", b"instruction\toutput\n", "CSV"),
        ("a.jsonl", &tar, "tar archive"),
        ("a.jsonl.gz", &gzip(&tar), "gzip data hold a tar archive"),
        ("a.jsonl.gz", &gzip(&gzip(b"{}")), "gzip data once more"),
        ("a.csv.gz", &gzip(b"instruction,output\n"), "CSV"),
        ("a.parquet", b"PAR1 and nothing else", "Parquet data cannot be read"),
        ("a.parquet", b"PAR1", "Parquet"),
        ("a.jsonl", b"", "no examples"),
    ];
    for (name, bytes, expected) in files {
        let (at, reason) = refusal(name, bytes);
        assert!(at == 0 && reason.contains(expected), "{name}: {at}: {reason}");
    }
    // JSON in a file named like a table is read as JSON.
    assert_eq!(numbers(&records_of("a.csv", GOOD.as_bytes())), [(1, true)]);
}

#[test]
fn parquet_rows_are_records_with_every_codec_that_data_sets_use() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    let read = |name: &str| records_of("a", &std::fs::read(folder.join(name)).unwrap());
    let rows = read("snappy.parquet");
    assert_eq!(numbers(&rows), [(1, true), (2, true), (3, true)]);
    let second = r#"{"id":2,"instruction":"what is snow","input":null,"output":"white"}"#;
    assert_eq!(rows[1].1.as_deref(), Ok(second));
    for codec in ["zstd", "gzip", "none"] {
        assert_eq!(read(&format!("{codec}.parquet")), rows, "{codec}");
    }
    let chats = read("messages.parquet");
    assert!(chats[1].1.as_ref().unwrap().contains(r#"{"role":"system","content":"be brief"}"#));
    let binary = read("binary.parquet");
    assert_eq!(binary[0].1.as_deref(), Ok(r#"{"prompt":"sky is","completion":"blue"}"#));
    assert!(binary[1].1.as_ref().unwrap().contains(r#"{"bytes":2}"#));
    for codec in ["brotli", "lz4"] {
        let unread = read(&format!("{codec}.parquet"));
        let reason = unread[0].1.as_ref().unwrap_err().to_lowercase();
        assert!(reason.contains(codec) && reason.contains("snappy, zstd or gzip"), "{reason}");
    }
}

#[test]
fn parquet_columns_of_any_type_are_what_a_line_would_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    let read = |name: &str| records_of("a", &std::fs::read(folder.join(name)).unwrap());
    // The order of keys is that of the file; a number that is missing is null, and one that is
    // infinite is no number.
    let rows = [
        r#"{"output":"blue","instruction":"what is sky","input":null,"weight":1.0,"infinite":"inf","decimal":"1.50","day":19930,"nested":{"z":1,"a":[{"y":[],"b":null}]}}"#,
        r#"{"output":"white","instruction":"what is snow","input":null,"weight":null,"infinite":0.5,"decimal":null,"day":null,"nested":null}"#,
    ];
    let rows: Vec<_> = rows.iter().zip(1..).map(|(row, at)| (at, Ok((*row).to_owned()))).collect();
    assert_eq!(read("types.parquet"), rows);
    let (at, reason) = refusal("a", &std::fs::read(folder.join("twice.parquet")).unwrap());
    assert!(at == 0 && reason.contains("two columns are called \"output\""), "{reason}");
}

#[test]
fn what_cannot_be_read_twice_is_refused_before_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for (path, expected) in
        [(pipe.as_path(), "no regular file"), (folder.path(), "a folder: name the files in it")]
    {
        let error = each_batch(path, &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_damaged_parquet_file_is_refused_and_panics_nowhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    let whole = std::fs::read(folder.join("messages.parquet")).unwrap();
    for at in (4..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // Whatever the bytes are, each row is a record or an error.
        records_of("a.parquet", &damaged);
        let rows = records_of("a.parquet", &whole[..at]);
        assert!(rows.iter().any(|(_, text)| text.is_err()), "{at}");
    }
}

/// Bytes that depend on the seed alone.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[test]
fn whatever_the_bytes_are_each_record_is_an_example_or_an_error() {
    let parquet = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet/messages.parquet");
    let chat = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "q\u00e9"}]},
        {"role": "assistant", "content": "a", "tool_calls": [{"a": 1}], "weight": 0}], "tools": "[]"}"#;
    let chat = chat.replace('\n', " ");
    let seeds: [Vec<u8>; 5] = [
        format!("{GOOD}\n{chat}\n").into_bytes(),
        format!("[{GOOD}, {chat}]").into_bytes(),
        gzip(format!("{chat}\n{GOOD}\n").as_bytes()),
        format!("\u{feff}{GOOD}").into_bytes(),
        std::fs::read(parquet).unwrap(),
    ];
    for (kind, seed) in seeds.iter().enumerate() {
        for round in 0..100 {
            let mut bytes = seed.clone();
            let mut noise = noise(1000 * kind as u64 + round + 1);
            let mut next = |below: usize| noise.next().unwrap() as usize % below.max(1);
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes.truncate(at),
                    1 => drop(bytes.get_mut(at).map(|byte| *byte ^= 1 << next(8))),
                    2 => bytes.insert(at.min(bytes.len()), br#"{}[]",:\"#[next(8)]),
                    _ => bytes.extend_from_within(at.min(bytes.len())..),
                }
            }
            for (_, text) in records_of("a", &bytes) {
                let Ok(text) = text else { continue };
                let read = super::super::form::understand(&text, &Default::default());
                assert!(read.is_ok() || !read.unwrap_err().is_empty());
            }
        }
    }
}
