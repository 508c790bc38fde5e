//! Reads a variant of an enum whose name and content are apart, as they are in the journal.

use serde::de::{DeserializeOwned, DeserializeSeed, EnumAccess, VariantAccess, Visitor, value};
use serde::{Deserialize, de};
use serde_json::de::StrRead;
use serde_json::{Deserializer, Error};

/// The variant `name` of `E` from its content. Nothing is copied: putting the two together as
/// `{"name":content}` first would cost a second pass over every payload that is loaded.
///
/// # Errors
/// When `E` has no such variant or `content` is not its JSON object.
pub(super) fn read_variant<E: DeserializeOwned>(name: &str, content: &str) -> Result<E, Error> {
    let mut content = Deserializer::from_str(content);
    let tagged = Tagged { name, content: &mut content };
    let event = E::deserialize(value::EnumAccessDeserializer::new(tagged))?;
    content.end()?;
    Ok(event)
}

struct Tagged<'a, 'de> {
    name: &'a str,
    content: &'a mut Deserializer<StrRead<'de>>,
}

impl<'de> EnumAccess<'de> for Tagged<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(value::StrDeserializer::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self.content)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.content)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_seq(self.content, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_map(self.content, visitor)
    }
}
