//! A disk that loses power: what is not synced is kept or lost sector by sector and name by name, and it can be made to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use self::file::Handle;
use crate::client::spool::disk::{Disk, File, Lock, LockError, parent};

mod file;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Syncs that say "done" and do nothing, to show that the tests notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Careless {
    Nowhere,
    Segments,
    Cursor,
    DeadLetters,
    Folders,
}

#[derive(Clone)]
pub struct Simulated(Arc<Mutex<World>>);

struct World {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, Node>,
    /// The names that a crash leaves for certain.
    synced_names: BTreeMap<PathBuf, Node>,
    unsynced: Vec<(PathBuf, Change)>,
    /// Names whose sync failed, from and to: they are seen, and no sync writes them any more.
    lost_names: Vec<(PathBuf, PathBuf)>,
    held: BTreeSet<PathBuf>,
    /// Handles of before a crash do nothing any more.
    boots: u64,
    random: u64,
    careless: Careless,
    /// How many work before that, and how many fail.
    failing_syncs: Option<(u32, u32)>,
    /// The same of reads.
    failing_reads: Option<(u32, u32)>,
    /// Parts of files that no read brings in.
    unreadable: Vec<(usize, Range<usize>)>,
    /// The bytes of all files together may not exceed it.
    room: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone)]
enum Change {
    Put(PathBuf, Node),
    Take(PathBuf),
    Move(PathBuf, PathBuf, Node),
}

#[derive(Default)]
struct Contents {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Sectors that differ, or may.
    dirty: BTreeSet<usize>,
    careless: bool,
}

impl Contents {
    fn write_back(&mut self, sector: usize) {
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.now.len());
        self.synced.resize(self.synced.len().max(range.end), 0);
        self.synced[range.clone()].copy_from_slice(&self.now[range]);
    }
}

impl World {
    fn random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn coin(&mut self) -> bool {
        self.random() & 1 == 1
    }

    fn used(&self) -> usize {
        let files = self.names.values().filter_map(|node| if let Node::File(file) = node { Some(*file) } else { None });
        files.map(|file| self.files[file].now.len()).sum()
    }

    fn sync_fails(&mut self) -> bool {
        fails(&mut self.failing_syncs)
    }

    fn change(&mut self, change: Change) {
        let folder = match &change {
            Change::Put(path, _) | Change::Take(path) | Change::Move(_, path, _) => parent(path).to_path_buf(),
        };
        apply(&mut self.names, &change);
        self.unsynced.push((folder, change));
    }

    /// After a failed sync new names count as written, written or not.
    fn lose_names(&mut self, folder: &Path) {
        for (of, change) in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Move(from, to, _) if of == folder && self.coin() => self.lost_names.push((from, to)),
                kept => self.unsynced.push((of, kept)),
            }
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path == Path::new("/") || self.names.get(path) == Some(&Node::Folder)
    }

    fn forget_handles(&mut self) {
        self.boots += 1;
        self.held.clear();
    }
}

/// Counts one more down. Whether it fails.
fn fails(failing: &mut Option<(u32, u32)>) -> bool {
    match failing {
        Some((0, 0)) | None => false,
        Some((0, times)) => {
            *times -= 1;
            true
        }
        Some((after, _)) => {
            *after -= 1;
            false
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    match change {
        Change::Put(path, node) => drop(names.insert(path.clone(), *node)),
        Change::Take(path) => drop(names.remove(path)),
        Change::Move(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl Simulated {
    pub fn new(seed: u64, careless: Careless) -> Simulated {
        Simulated(Arc::new(Mutex::new(World {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced: Vec::new(),
            lost_names: Vec::new(),
            held: BTreeSet::new(),
            boots: 0,
            random: seed,
            careless,
            failing_syncs: None,
            failing_reads: None,
            unreadable: Vec::new(),
            room: None,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The power goes and comes back.
    pub fn crash(&self) {
        let mut world = self.world();
        for (_, change) in std::mem::take(&mut world.unsynced) {
            if world.coin() {
                apply(&mut world.synced_names, &change);
            }
        }
        world.lost_names.clear();
        // A folder that is gone takes what it held along.
        let names = world.synced_names.clone();
        world.synced_names.retain(|path, _| {
            path.ancestors().skip(1).all(|above| above == Path::new("/") || names.get(above) == Some(&Node::Folder))
        });
        world.names = world.synced_names.clone();
        for at in 0..world.files.len() {
            for sector in std::mem::take(&mut world.files[at].dirty) {
                if world.coin() {
                    world.files[at].write_back(sector);
                }
            }
            world.files[at].now = world.files[at].synced.clone();
        }
        world.forget_handles();
    }

    /// The process ends at once; the disk notices nothing.
    pub fn kill(&self) {
        let mut world = self.world();
        // The next process cannot know that a sync of names had failed; a system that lets it go on has tried them again.
        for (from, to) in std::mem::take(&mut world.lost_names) {
            for path in [from, to] {
                let change = match world.names.get(&path) {
                    Some(node) => Change::Put(path.clone(), *node),
                    None => Change::Take(path.clone()),
                };
                world.unsynced.push((parent(&path).to_path_buf(), change));
            }
        }
        world.forget_handles();
    }

    /// So many syncs fail after others that work; what they should have written is lost or not.
    pub fn fail_syncs(&self, after: u32, times: u32) {
        self.world().failing_syncs = Some((after, times));
    }

    /// So many reads fail after others that work; nothing is lost by it.
    pub fn fail_reads(&self, after: u32, times: u32) {
        self.world().failing_reads = Some((after, times));
    }

    pub fn heal_reads(&self) {
        self.world().failing_reads = None;
    }

    /// No read brings these bytes of the file at `path` in.
    pub fn spoil(&self, path: &Path, bytes: Range<usize>) {
        let mut world = self.world();
        let file = world.file(path).unwrap();
        world.unreadable.push((file, bytes));
    }

    /// What stands in the file at `path`.
    pub fn text(&self, path: &Path, from: usize, length: usize) -> String {
        let world = self.world();
        let bytes = &world.files[world.file(path).unwrap()].now[from..from + length];
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Leaves room for so many bytes more.
    pub fn fill_up_to(&self, bytes: usize) {
        let mut world = self.world();
        world.room = Some(world.used() + bytes);
    }

    pub fn heal(&self) {
        let mut world = self.world();
        (world.failing_syncs, world.failing_reads, world.room) = (None, None, None);
        world.unreadable.clear();
    }

    /// Changes a bit of the file at `path`, for good.
    pub fn flip(&self, path: &Path, bit: usize) {
        let mut world = self.world();
        let file = world.file(path).unwrap();
        let contents = &mut world.files[file];
        contents.now[bit / 8] ^= 1 << (bit % 8);
        if let Some(byte) = contents.synced.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }
}

impl Disk for Simulated {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.is_folder(parent(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !world.is_folder(folder) {
            world.change(Change::Put(folder.to_path_buf(), Node::Folder));
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        if !world.is_folder(parent(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if world.room.is_some_and(|room| world.used() >= room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A truncated file is as good as another one: its old bytes may be there after a crash, under the old name.
        let name = path.file_name().unwrap().to_string_lossy();
        let careless = match world.careless {
            Careless::Nowhere | Careless::Folders => false,
            Careless::Segments => parent(path).ends_with("segments"),
            Careless::Cursor => name.starts_with("cursor"),
            Careless::DeadLetters => parent(path).ends_with("dead"),
        };
        world.files.push(Contents { careless, ..Contents::default() });
        let file = world.files.len() - 1;
        world.change(Change::Put(path.to_path_buf(), Node::File(file)));
        Ok(Arc::new(Handle::new(self, file, world.boots)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let world = self.world();
        let file = world.file(path)?;
        Ok(Arc::new(Handle::new(self, file, world.boots)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        let file = world.file(from)?;
        world.change(Change::Move(from.to_path_buf(), to.to_path_buf(), Node::File(file)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.file(path)?;
        world.change(Change::Take(path.to_path_buf()));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        if !world.is_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = world.names.iter().filter(|(path, node)| parent(path) == folder && **node != Node::Folder);
        Ok(files.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.sync_fails() {
            world.lose_names(folder);
            return Err(io::Error::other("the disk failed a sync of a folder"));
        }
        if world.careless == Careless::Folders {
            return Ok(());
        }
        let (synced, unsynced) = std::mem::take(&mut world.unsynced).into_iter().partition(|(of, _)| of == folder);
        world.unsynced = unsynced;
        let synced: Vec<(PathBuf, Change)> = synced;
        for (_, change) in synced {
            apply(&mut world.synced_names, &change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path, text: &str) -> Result<Lock, LockError> {
        let mut world = self.world();
        if !world.held.insert(path.to_path_buf()) {
            return Err(LockError::Held(text.to_owned()));
        }
        Ok(Lock::new(Holder { disk: self.clone(), path: path.to_path_buf(), boot: world.boots }))
    }
}

struct Holder {
    disk: Simulated,
    path: PathBuf,
    boot: u64,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.boots == self.boot {
            world.held.remove(&self.path);
        }
    }
}
