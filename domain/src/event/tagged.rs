//! Reads a variant of an enum whose name and content are apart, as they are in the journal.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor, value,
};
use serde::{Deserialize, de};
use serde_json::{Error, Value};
use std::borrow::Cow;

/// An event's fields as JSON, in either form.
pub(super) trait Payload: Sized {
    /// The variant `name` of `E` that has them. Nothing is copied: putting the two together as
    /// `{"name":content}` first would cost a second pass over every payload that is loaded.
    ///
    /// # Errors
    /// When `E` has no such variant or this is not its JSON object.
    fn into_variant<E: DeserializeOwned>(self, name: &str) -> Result<E, Error>;

    /// As text.
    fn text(&self) -> Cow<'_, str>;
}

impl Payload for &str {
    fn into_variant<E: DeserializeOwned>(self, name: &str) -> Result<E, Error> {
        let mut content = serde_json::Deserializer::from_str(self);
        let event = read(name, &mut content)?;
        content.end()?;
        Ok(event)
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl Payload for Value {
    fn into_variant<E: DeserializeOwned>(self, name: &str) -> Result<E, Error> {
        read(name, self)
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

fn read<'de, E, D>(name: &str, content: D) -> Result<E, Error>
where
    E: Deserialize<'de>,
    D: Deserializer<'de, Error = Error>,
{
    E::deserialize(value::EnumAccessDeserializer::new(Tagged { name, content }))
}

struct Tagged<'a, D> {
    name: &'a str,
    content: D,
}

impl<'de, D: Deserializer<'de, Error = Error>> EnumAccess<'de> for Tagged<'_, D> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(value::StrDeserializer::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de, D: Deserializer<'de, Error = Error>> VariantAccess<'de> for Tagged<'_, D> {
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
