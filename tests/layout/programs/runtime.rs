// Threads with their own stacks, a panic whose frames are named, a child. With an argument, the first
// stack overflows, which the runtime tells from other faults.
use std::collections::HashMap;
use std::{env, panic, process, thread};

#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = [depth as u8; 256];
    if depth == 0 { frame[0] as u64 } else { descend(depth - 1) + (frame[1] as u64 & 1) }
}

fn main() {
    if env::args().len() > 1 {
        println!("{}", descend(u64::MAX));
    }
    let threads: Vec<_> = (0..200).map(|i| thread::spawn(move || descend(2000 + i))).collect();
    let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let heap: HashMap<u64, String> = (0..200000).map(|i| (i, i.to_string())).collect();
    let caught = panic::catch_unwind(|| {
        let nothing: Option<u32> = None;
        nothing.expect("a panic")
    });
    let child = process::Command::new("sh").args(["-c", "exit 7"]).status().unwrap();
    println!("{} {} {} {:?}", sum, heap.len(), caught.is_err(), child.code());
}
