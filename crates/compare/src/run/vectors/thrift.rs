//! The part of Thrift's compact protocol that a Parquet footer needs: structs of integers, texts, structs and lists.

/// A kind of value, as the protocol numbers it.
#[derive(Clone, Copy)]
pub enum Kind {
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// Writes one struct. Fields must come in the order of their numbers, as in every struct of Parquet.
#[derive(Default)]
pub struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    /// A 32-bit integer, or an enum's number.
    pub fn i32(&mut self, field: u8, value: i32) -> &mut Self {
        self.head(field, Kind::I32);
        zigzag(&mut self.bytes, i64::from(value));
        self
    }

    /// A 64-bit integer.
    pub fn i64(&mut self, field: u8, value: usize) -> &mut Self {
        self.head(field, Kind::I64);
        zigzag(&mut self.bytes, value as i64);
        self
    }

    /// A text.
    pub fn text(&mut self, field: u8, value: &str) -> &mut Self {
        self.head(field, Kind::Binary);
        text(&mut self.bytes, value);
        self
    }

    /// Another struct.
    pub fn nested(&mut self, field: u8, value: &mut Struct) -> &mut Self {
        self.head(field, Kind::Struct);
        self.bytes.extend(value.finish());
        self
    }

    /// A list of enums' numbers.
    pub fn numbers(&mut self, field: u8, values: &[i32]) -> &mut Self {
        self.list_head(field, Kind::I32, values.len());
        values.iter().for_each(|value| zigzag(&mut self.bytes, i64::from(*value)));
        self
    }

    /// A list of texts.
    pub fn texts(&mut self, field: u8, values: &[&str]) -> &mut Self {
        self.list_head(field, Kind::Binary, values.len());
        values.iter().for_each(|value| text(&mut self.bytes, value));
        self
    }

    /// A list of structs.
    pub fn list(&mut self, field: u8, values: Vec<Struct>) -> &mut Self {
        self.list_head(field, Kind::Struct, values.len());
        for mut value in values {
            self.bytes.extend(value.finish());
        }
        self
    }

    /// The bytes of the struct, which is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let Self { mut bytes, .. } = std::mem::take(self);
        bytes.push(0);
        bytes
    }

    /// A field's number is written as the step from the one before, which is at most 15 in Parquet.
    fn head(&mut self, field: u8, kind: Kind) {
        self.bytes.push(((field - self.last) << 4) | kind as u8);
        self.last = field;
    }

    fn list_head(&mut self, field: u8, kind: Kind, length: usize) {
        self.head(field, Kind::List);
        if length < 15 {
            self.bytes.push(((length as u8) << 4) | kind as u8);
        } else {
            self.bytes.push(0xf0 | kind as u8);
            varint(&mut self.bytes, length as u64);
        }
    }
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    varint(bytes, value.len() as u64);
    bytes.extend(value.as_bytes());
}

/// Small magnitudes of either sign become small numbers.
fn zigzag(bytes: &mut Vec<u8>, value: i64) {
    varint(bytes, ((value << 1) ^ (value >> 63)) as u64);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
pub fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_protocol() {
        let encoded = |value| {
            let mut bytes = Vec::new();
            zigzag(&mut bytes, value);
            bytes
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(-1), [1]);
        assert_eq!(encoded(63), [126]);
        assert_eq!(encoded(150), [0xac, 0x02]);
        assert_eq!(encoded(i64::MIN), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn long_lists_have_their_length_apart() {
        assert_eq!(Struct::default().numbers(2, &[1; 14]).finish()[..3], [0x29, 0xe5, 2]);
        assert_eq!(Struct::default().numbers(2, &[1; 200]).finish()[..5], [0x29, 0xf5, 0xc8, 0x01, 2]);
    }
}
