//! A map by id whose copies share what they have in common.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// A node's children: one for each value of four bits of the id.
const CHILDREN: usize = 16;

/// A map whose copies cost nothing, and whose changes cost the same however much is in it: what a
/// state needs that is copied for every decision. A trie over the id's bits, from the last ones on,
/// which are random in every id that we make; a change copies the nodes on the way to its place.
///
/// Of the same entries it has the same shape, in whatever order they came: a branch has at least two
/// entries below it.
#[derive(Clone)]
pub struct IdMap<V>(Option<Arc<Node<V>>>);

#[derive(Clone)]
enum Node<V> {
    Leaf(Uuid, V),
    Branch([Option<Arc<Node<V>>>; CHILDREN]),
}

impl<V: Clone> IdMap<V> {
    /// What is kept under `id`.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&V> {
        let mut node = self.0.as_deref()?;
        let mut depth = 0;
        loop {
            match node {
                Node::Leaf(key, value) => return (*key == id).then_some(value),
                Node::Branch(children) => node = children[child(id, depth)].as_deref()?,
            }
            depth += 1;
        }
    }

    /// Keeps `value` under `id`, in the place of what was there.
    pub fn insert(&mut self, id: Uuid, value: V) {
        self.0 = Some(inserted(self.0.take(), id, value, 0));
    }

    /// Keeps nothing under `id` any more.
    pub fn remove(&mut self, id: Uuid) {
        if self.get(id).is_some() {
            self.0 = self.0.take().and_then(|root| removed(&root, id, 0));
        }
    }

    /// Everything, in an order that depends on nothing but the ids.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &V)> {
        let mut open: Vec<&Node<V>> = self.0.as_deref().into_iter().collect();
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Node::Leaf(id, value) => return Some((*id, value)),
                    Node::Branch(children) => {
                        open.extend(children.iter().rev().filter_map(Option::as_deref));
                    }
                }
            }
        })
    }

    /// Every value, in the same order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Which child of a branch at `depth` leads to `id`.
fn child(id: Uuid, depth: u32) -> usize {
    (id.as_u128() >> (depth * CHILDREN.ilog2())) as usize % CHILDREN
}

fn inserted<V: Clone>(node: Option<Arc<Node<V>>>, id: Uuid, value: V, depth: u32) -> Arc<Node<V>> {
    let Some(node) = node else { return Arc::new(Node::Leaf(id, value)) };
    let mut children = match &*node {
        Node::Leaf(key, _) if *key == id => return Arc::new(Node::Leaf(id, value)),
        Node::Leaf(key, _) => {
            let mut children: [Option<Arc<Node<V>>>; CHILDREN] = [const { None }; CHILDREN];
            children[child(*key, depth)] = Some(Arc::clone(&node));
            children
        }
        Node::Branch(children) => children.clone(),
    };
    let place = &mut children[child(id, depth)];
    *place = Some(inserted(place.take(), id, value, depth + 1));
    Arc::new(Node::Branch(children))
}

fn removed<V: Clone>(node: &Arc<Node<V>>, id: Uuid, depth: u32) -> Option<Arc<Node<V>>> {
    let Node::Branch(children) = &**node else { return None };
    let mut children = children.clone();
    let place = &mut children[child(id, depth)];
    *place = place.take().and_then(|below| removed(&below, id, depth + 1));
    let mut left = children.iter().flatten();
    match (left.next(), left.next()) {
        // The last one needs no branch to be found.
        (Some(last), None) if matches!(&**last, Node::Leaf(..)) => Some(Arc::clone(last)),
        (None, _) => None,
        _ => Some(Arc::new(Node::Branch(children))),
    }
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Clone + PartialEq> PartialEq for IdMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<V: Clone + Eq> Eq for IdMap<V> {}

impl<V: Clone + fmt::Debug> fmt::Debug for IdMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Clone + Serialize> Serialize for IdMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Clone + Deserialize<'de>> Deserialize<'de> for IdMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: BTreeMap<Uuid, V> = BTreeMap::deserialize(deserializer)?;
        let mut map = Self::default();
        for (id, value) in entries {
            map.insert(id, value);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ids that agree in many of their last bits, so that they share long ways.
    fn any_id() -> impl Strategy<Value = Uuid> {
        let high = prop_oneof![Just(0), Just(1 << 124), Just(1 << 64), Just(1 << 8)];
        (high, 0..20_u128).prop_map(|(high, low)| Uuid::from_u128(high | low))
    }

    /// Nodes of `map` that `other` does not hold, too.
    fn nodes_apart(map: Option<&Arc<Node<u32>>>, other: Option<&Arc<Node<u32>>>) -> usize {
        match (map, other) {
            (Some(node), Some(other)) if Arc::ptr_eq(node, other) => 0,
            (Some(node), other) => match (&**node, other.map(|other| &**other)) {
                (Node::Branch(ours), Some(Node::Branch(theirs))) => {
                    let pairs = ours.iter().zip(theirs);
                    1 + pairs.map(|(a, b)| nodes_apart(a.as_ref(), b.as_ref())).sum::<usize>()
                }
                (Node::Branch(ours), _) => {
                    1 + ours.iter().map(|a| nodes_apart(a.as_ref(), None)).sum::<usize>()
                }
                (Node::Leaf(..), _) => 1,
            },
            (None, _) => 0,
        }
    }

    /// Like the random part of an id, without chance.
    fn spread(number: u128) -> Uuid {
        Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    #[test]
    fn a_change_costs_the_same_however_much_is_in_it() {
        let mut map = IdMap::default();
        for number in 0..5_000 {
            map.insert(spread(number), 0);
        }
        let before = map.clone();
        map.insert(spread(5_000), 1);
        assert!(nodes_apart(map.0.as_ref(), before.0.as_ref()) < 10);
        map.remove(spread(7));
        assert!(nodes_apart(map.0.as_ref(), before.0.as_ref()) < 20);
        assert_eq!(before.iter().count(), 5_000, "the copy is what it was");
    }

    proptest! {
        #[test]
        fn it_holds_what_an_ordinary_map_holds_and_its_copies_stay_as_they_were(
            changes in prop::collection::vec((any_id(), prop::option::of(0..9_u32)), 1..50),
        ) {
            let mut map = IdMap::default();
            let mut model = BTreeMap::new();
            let mut copies = vec![];
            for (id, value) in changes {
                copies.push((map.clone(), model.clone()));
                match value {
                    Some(value) => { map.insert(id, value); model.insert(id, value); }
                    None => { map.remove(id); model.remove(&id); }
                }
                prop_assert_eq!(map.get(id), model.get(&id));
            }
            // In another order one comes to the same, and so does whoever reads what was written.
            let mut again = IdMap::default();
            for (id, value) in model.iter().rev() {
                again.insert(*id, *value);
            }
            prop_assert!(map == again);
            let json = serde_json::to_string(&map).expect("maps encode");
            prop_assert_eq!(serde_json::from_str(&json).ok(), Some(again));
            copies.push((map, model));
            for (map, model) in copies {
                let held: BTreeMap<_, _> = map.iter().map(|(id, value)| (id, *value)).collect();
                prop_assert_eq!(held, model);
            }
        }
    }
}
