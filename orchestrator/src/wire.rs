//! How the words of `shm-protocol`, which knows no serde, stand in records: by their wire values.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shm_protocol::access::{AccessKind, Before, Gap};
use shm_protocol::record::Exit;

macro_rules! by_wire_value {
    ($module:ident, $word:ty, $wire:ty, $to:expr, $from:expr) => {
        /// For `#[serde(with)]` on a field of this type.
        pub mod $module {
            use super::*;

            /// Writes the wire value.
            ///
            /// # Errors
            /// As the serializer's.
            pub fn serialize<S: Serializer>(word: &$word, serializer: S) -> Result<S::Ok, S::Error> {
                let to: fn($word) -> $wire = $to;
                to(*word).serialize(serializer)
            }

            /// Reads the wire value.
            ///
            /// # Errors
            /// The value stands for nothing.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$word, D::Error> {
                let from: fn($wire) -> Option<$word> = $from;
                from(<$wire>::deserialize(deserializer)?)
                    .ok_or_else(|| D::Error::custom("an unknown wire value"))
            }
        }
    };
}

by_wire_value!(kind, AccessKind, u8, |kind| kind as u8, AccessKind::from_wire);
by_wire_value!(gap, Gap, u8, |gap| gap as u8, Gap::from_wire);
by_wire_value!(before, Before, (u8, u16), Before::to_wire, |(tag, mode)| { Before::from_wire(tag, mode) });
by_wire_value!(
    exit,
    Exit,
    (bool, u32),
    |exit| match exit {
        Exit::Code(code) => (false, code),
        Exit::Signal(signal) => (true, signal.into()),
    },
    |(killed, number)| match killed {
        true => u8::try_from(number).ok().map(Exit::Signal),
        false => Some(Exit::Code(number)),
    }
);
