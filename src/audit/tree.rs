//! A payload, read: its values stand in one list, in the order of its text, and a text without escapes is a place in that. To read
//! one takes some allocations, whatever it holds, where a map takes two for each member.

use std::{fmt, mem::size_of, slice};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Most payloads have a value or a name for so many bytes, and a member for so many.
const NODE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 24;

/// What was read of a text, which whoever asks has to bring again.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The whole first; what an array or an object holds follows it, of an object each name before its value.
    nodes: Vec<Node>,
    /// Object by object, each sorted by name.
    members: Vec<Member>,
    /// The texts that are written with escapes, one behind the other.
    unescaped: String,
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// Of its name, see `mark`.
    mark: u32,
    /// The place of its name; its value follows.
    name: u32,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    /// From where to where in the text.
    Text(u32, u32),
    Unescaped(u32, u32),
    Array {
        /// Where the list goes on behind it.
        end: u32,
    },
    Object {
        end: u32,
        /// Its names in `members`.
        first: u32,
        count: u32,
    },
}

/// A value of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    tree: &'a Tree,
    text: &'a str,
    at: u32,
}

/// An object of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    tree: &'a Tree,
    text: &'a str,
    members: &'a [Member],
}

/// The values of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    next: Item<'a>,
    end: u32,
}

impl Tree {
    /// Reads an object; of a text that is none, nothing.
    pub fn read(text: &str) -> Tree {
        let (nodes, members) = (text.len() / NODE_BYTES + 1, text.len() / MEMBER_BYTES + 1);
        let mut tree =
            Tree { nodes: Vec::with_capacity(nodes), members: Vec::with_capacity(members), unescaped: String::new() };
        let mut names = Vec::with_capacity(members);
        let mut json = serde_json::Deserializer::from_str(text);
        let reader = Reader { tree: &mut tree, text, names: &mut names };
        let read = reader.deserialize(&mut json).and_then(|()| json.end());
        // Places are counted in 32 bits.
        if read.is_ok() && u32::try_from(text.len()).is_ok() { tree } else { Tree::default() }
    }

    /// The whole; `text` is what was read.
    pub fn root<'a>(&'a self, text: &'a str) -> Object<'a> {
        let root = Item { tree: self, text, at: 0 };
        root.as_object().unwrap_or(Object { tree: self, text, members: &[] })
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.members.capacity() * size_of::<Member>()
            + self.unescaped.capacity()
    }

    /// The text at a place, where there is one.
    fn str<'a>(&'a self, text: &'a str, at: u32) -> Option<&'a str> {
        match *self.nodes.get(at as usize)? {
            Node::Text(from, to) => text.get(from as usize..to as usize),
            Node::Unescaped(from, to) => self.unescaped.get(from as usize..to as usize),
            _ => None,
        }
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

/// A number by which most names can be told apart without a look at them.
fn mark(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let ends = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u32::from_le_bytes(*first) ^ u32::from_le_bytes(*last).rotate_left(13),
        _ => bytes.iter().fold(0, |mark, byte| mark << 8 | u32::from(*byte)),
    };
    ends ^ (bytes.len() as u32).wrapping_mul(0x9e37_79b1)
}

/// Reads one value to the end of the tree.
struct Reader<'t, 'a> {
    tree: &'t mut Tree,
    text: &'a str,
    /// Those of all objects that are open.
    names: &'t mut Vec<Member>,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Reader<'_, 'a> {
        Reader { tree: self.tree, text: self.text, names: self.names }
    }

    fn push<E>(self, node: Node) -> Result<(), E> {
        self.tree.push(node);
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for Reader<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Reader<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.push(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.push(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.push(Node::Signed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.push(Node::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.push(Node::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<(), E> {
        let from = value.as_ptr() as usize - self.text.as_ptr() as usize;
        self.push(Node::Text(from as u32, (from + value.len()) as u32))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        let from = self.tree.unescaped.len();
        self.tree.unescaped.push_str(value);
        self.push(Node::Unescaped(from as u32, (from + value.len()) as u32))
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
        let at = self.tree.push(Node::Null);
        while items.next_element_seed(self.next())?.is_some() {}
        self.tree.nodes[at] = Node::Array { end: self.tree.nodes.len() as u32 };
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut members: A) -> Result<(), A::Error> {
        let (at, outer) = (self.tree.push(Node::Null), self.names.len());
        loop {
            let name = self.tree.nodes.len() as u32;
            if members.next_key_seed(self.next())?.is_none() {
                break;
            }
            let mark = mark(self.tree.str(self.text, name).unwrap_or_default());
            self.names.push(Member { mark, name });
            members.next_value_seed(self.next())?;
        }
        let Reader { tree, text, names } = self;
        let name = |member: &Member| tree.str(text, member.name);
        if !names[outer..].is_sorted_by(|a, b| name(a) < name(b)) {
            // No canonical text. Of a name that is there twice the last counts, as everywhere.
            names[outer..].reverse();
            names[outer..].sort_by_key(name);
            let mut before = None;
            let mut later = names.split_off(outer);
            later.retain(|member| name(member) != before.replace(*member).as_ref().and_then(name));
            names.append(&mut later);
        }
        let (first, count, end) = (tree.members.len() as u32, (names.len() - outer) as u32, tree.nodes.len() as u32);
        tree.members.extend(names.drain(outer..));
        tree.nodes[at] = Node::Object { end, first, count };
        Ok(())
    }
}

impl<'a> Item<'a> {
    fn node(self) -> Node {
        self.tree.nodes.get(self.at as usize).copied().unwrap_or(Node::Null)
    }

    pub fn is_null(self) -> bool {
        matches!(self.node(), Node::Null)
    }

    pub fn as_str(self) -> Option<&'a str> {
        self.tree.str(self.text, self.at)
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_number(self) -> Option<Number> {
        match self.node() {
            Node::Signed(value) => Some(value.into()),
            Node::Unsigned(value) => Some(value.into()),
            Node::Double(value) => Number::from_f64(value),
            _ => None,
        }
    }

    pub fn as_array(self) -> Option<Items<'a>> {
        match self.node() {
            Node::Array { end } => Some(Items { next: Item { at: self.at + 1, ..self }, end }),
            _ => None,
        }
    }

    pub fn as_object(self) -> Option<Object<'a>> {
        let Item { tree, text, .. } = self;
        match self.node() {
            Node::Object { first, count, .. } => {
                Some(Object { tree, text, members: &tree.members[first as usize..(first + count) as usize] })
            }
            _ => None,
        }
    }

    /// The value by itself.
    pub fn to_value(self) -> Value {
        match self.node() {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(value),
            Node::Signed(_) | Node::Unsigned(_) | Node::Double(_) => {
                self.as_number().map_or(Value::Null, Value::Number)
            }
            Node::Text(..) | Node::Unescaped(..) => Value::String(self.as_str().unwrap_or_default().to_string()),
            Node::Array { .. } => Value::Array(self.as_array().into_iter().flatten().map(Item::to_value).collect()),
            Node::Object { .. } => {
                let members = self.as_object().into_iter().flat_map(Object::members);
                Value::Object(members.map(|(name, value)| (name.to_string(), value.to_value())).collect())
            }
        }
    }
}

impl<'a> Object<'a> {
    /// Sorted by name, each once.
    pub fn members(self) -> Members<'a> {
        Members { of: self, left: self.members.iter() }
    }

    pub fn get(self, name: &str) -> Option<Item<'a>> {
        let mark = mark(name);
        let found = self.members.iter().find(|member| member.mark == mark && self.name(member) == name)?;
        Some(self.value(found))
    }

    fn name(self, member: &Member) -> &'a str {
        self.tree.str(self.text, member.name).unwrap_or_default()
    }

    fn value(self, member: &Member) -> Item<'a> {
        Item { tree: self.tree, text: self.text, at: member.name + 1 }
    }
}

/// Names and values of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    of: Object<'a>,
    left: slice::Iter<'a, Member>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Item<'a>);

    fn next(&mut self) -> Option<(&'a str, Item<'a>)> {
        let member = self.left.next()?;
        Some((self.of.name(member), self.of.value(member)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.next.at >= self.end {
            return None;
        }
        let item = self.next;
        self.next.at = match item.node() {
            Node::Array { end } | Node::Object { end, .. } => end,
            _ => item.at + 1,
        };
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::audit::canonical::tests::any_json;

    /// A text that tells the same as `value`, with white space, and with names and texts that are escaped where they need not be.
    fn text_of(value: &Value) -> String {
        let escaped = |text: &str| {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        };
        match value {
            Value::String(text) if text.len() % 2 == 1 => escaped(text),
            Value::Array(items) => format!("[ {} ]", items.iter().map(text_of).collect::<Vec<_>>().join(" ,")),
            Value::Object(members) => {
                // The last one first, so that they have to be sorted.
                let told = members.iter().rev().map(|(name, value)| format!("{} :{}", escaped(name), text_of(value)));
                format!("{{{}}}", told.collect::<Vec<_>>().join(", "))
            }
            plain => plain.to_string(),
        }
    }

    fn any_object() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[a-cé]{0,2}", any_json(), 0..8).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_tree_holds_what_a_map_holds_however_it_was_written(map in any_object()) {
            let whole = Value::Object(map.clone());
            for text in [whole.to_string(), text_of(&whole)] {
                let tree = Tree::read(&text);
                let root = tree.root(&text);
                prop_assert_eq!(Item { tree: &tree, text: &text, at: 0 }.to_value(), whole.clone());
                prop_assert!(root.members().map(|(name, _)| name).eq(map.keys()));
                for name in ["", "a", "b", "ab", "é", "zz"] {
                    prop_assert_eq!(root.get(name).map(Item::to_value), map.get(name).cloned());
                }
            }
        }
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_counts() {
        let text = r#"{"b": 1, "a": {"x": 1, "x": 2}, "b": [3], "\u0062": 4, "a": {"x": 1, "y": 0, "x": 5}}"#;
        let tree = Tree::read(text);
        let told: Vec<_> =
            tree.root(text).members().map(|(name, value)| format!("{name} {}", value.to_value())).collect();
        assert_eq!(told, [r#"a {"x":5,"y":0}"#, "b 4"]);
    }

    #[test]
    fn what_is_no_object_tells_nothing() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for text in ["", "1", "[{\"a\": 1}]", "{\"a\": 1", "{\"a\": 1} 2", "\u{0}", &deep] {
            assert_eq!(Tree::read(text).root(text).members().count(), 0, "{text}");
        }
    }
}
