use super::*;

fn written(disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
    let file = disk.open(name, Create::Never).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    Some(bytes)
}

fn disk_with(name: &str, data: &[u8]) -> (SimulatedDisk, Arc<dyn File>) {
    let disk = SimulatedDisk::new();
    let file = disk.open(name, Create::New).unwrap();
    file.write_at(0, data).unwrap();
    file.sync_data().unwrap();
    disk.sync_directory("").unwrap();
    (disk, file)
}

#[test]
fn what_is_synced_survives_and_the_rest_is_kept_lost_or_torn() {
    let (disk, file) = disk_with("a", &[1; 2048]);
    file.write_at(0, &[2; 2048]).unwrap();
    let mut kept = 0;
    let mut lost = 0;
    let mut torn = 0;
    for seed in 0..200 {
        let bytes = written(&disk.survivor(seed), "a").unwrap();
        assert!(bytes.chunks(SECTOR_BYTES).all(|sector| sector == [1; 512] || sector == [2; 512]));
        match bytes.iter().filter(|byte| **byte == 2).count() {
            2048 => kept += 1,
            0 => lost += 1,
            _ => torn += 1,
        }
        assert_eq!(written(&disk.survivor(seed), "a").unwrap(), bytes, "one seed, one survivor");
    }
    assert!(kept > 10 && lost > 10 && torn > 10, "{kept} {lost} {torn}");
    file.sync_data().unwrap();
    assert!((0..50).all(|seed| written(&disk.survivor(seed), "a").unwrap() == [2; 2048]));
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let (disk, _) = disk_with("a", b"one");
    disk.open("b", Create::New).unwrap();
    disk.rename("a", "c").unwrap();
    for seed in 0..50 {
        let names = disk.survivor(seed).list("").unwrap();
        assert!(names.contains(&"a".to_owned()) != names.contains(&"c".to_owned()), "{names:?}");
    }
    assert!((0..50).any(|seed| disk.survivor(seed).list("").unwrap().contains(&"b".to_owned())));
    assert!((0..50).any(|seed| !disk.survivor(seed).list("").unwrap().contains(&"b".to_owned())));
    disk.sync_directory("").unwrap();
    assert!((0..50).all(|seed| disk.survivor(seed).list("").unwrap() == ["b", "c"]));
}

#[test]
fn a_directory_that_was_not_synced_takes_its_files_along() {
    let disk = SimulatedDisk::new();
    assert!(disk.open("packs/1", Create::New).is_err());
    disk.create_directory("packs").unwrap();
    disk.open("packs/1", Create::New).unwrap();
    disk.sync_directory("packs").unwrap();
    assert!((0..50).any(|seed| disk.survivor(seed).list("packs").is_err()));
    disk.sync_directory("").unwrap();
    assert!((0..50).all(|seed| disk.survivor(seed).list("packs").unwrap() == ["1"]));
}

#[test]
fn after_a_crash_every_call_fails() {
    let (disk, file) = disk_with("a", b"one");
    disk.crash_after(1);
    file.write_at(0, b"two").unwrap();
    assert!(file.sync_data().is_err());
    assert!(file.len().is_err() && file.read_at(0, &mut [0]).is_err() && file.write_at(0, b"x").is_err());
    assert!(disk.open("a", Create::Never).is_err() && disk.list("").is_err() && disk.remove("a").is_err());
    assert!((0..50).any(|seed| written(&disk.survivor(seed), "a").unwrap() == b"one"));
    assert!((0..50).any(|seed| written(&disk.survivor(seed), "a").unwrap() == b"two"));
}

#[test]
fn a_full_disk_takes_what_fits_and_overwriting_needs_no_room() {
    let (disk, file) = disk_with("a", &[1; 4096]);
    disk.set_capacity(Some(3 * 4096));
    let error = file.write_at(4096, &[2; 4 * 4096]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.used(), 3 * 4096);
    file.write_at(0, &[3; 4096]).unwrap();
    file.set_len(1 << 20).unwrap();
    assert_eq!(disk.used(), 3 * 4096);
    file.set_len(4096).unwrap();
    file.write_at(4096, &[2; 2 * 4096]).unwrap();
}

#[test]
fn a_snapshot_is_a_disk_of_its_own() {
    let (disk, file) = disk_with("a", b"one");
    file.write_at(0, b"two").unwrap();
    let copy = disk.snapshot();
    file.write_at(0, b"six").unwrap();
    disk.crash();
    assert_eq!(written(&copy, "a").unwrap(), b"two");
    assert!((0..20).all(|seed| written(&copy.survivor(seed), "a").unwrap() == b"two"));
    copy.corrupt("a", 1, 0xFF).unwrap();
    assert_ne!(written(&copy, "a").unwrap(), b"two");
    assert!(disk.has_crashed() && !copy.has_crashed());
}
