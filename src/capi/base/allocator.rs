//! The library's memory: the host's own malloc, so that leak tools, replaced allocators and limits see it as they see the host's. Buffers in which records
//! and pieces of streams come and go begin at a cache line. Touches the heap.
//!
//! Why: TLS copies each record from five bytes behind the beginning of one buffer to the beginning of another. glibc copies more than 2 KiB by `rep movsb`,
//! which on AMD's processors moves 3 GiB/s instead of 80 if the destination is 1 to 16 bytes beyond the source, counted within a page. Where malloc puts two
//! buffers is chance, which differs from one program to the next. Two that begin at cache lines are never so close.
//!
//! glibc takes five times as long for such a block as for another one, and more for the two ends that it cuts off. So a few of those that hold a whole
//! record, of which a download wants one for each, are kept for the next one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Of every processor that the library runs on.
const LINE: usize = 64;
/// Sizes of the buffers that matter: below, copies are short; above, none is copied from beginning to beginning.
const LEAST: usize = 2 << 10;
const MOST: usize = 64 << 10;
/// Sizes of blocks for a whole record or most of one, its plaintext or its wire form (RFC 8446 section 5.2, and what rustls adds). All have the largest of these.
const RECORDS: RangeInclusive<usize> = (12 << 10) + 1..=18437;

/// malloc, with buffers of some sizes at cache lines. What it returns may be given to free.
pub struct AlignedBuffers;

// The tests that count memory bring an allocator of their own.
#[cfg(not(feature = "no-allocator"))]
#[global_allocator]
static ALLOCATOR: AlignedBuffers = AlignedBuffers;

/// Blocks for records that wait for the next one. Invariant: a block that is not null here is nobody else's; whoever swaps it out owns it.
static KEPT: [AtomicPtr<u8>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// Whether a block is to begin at a cache line, beyond what its user asks for: bytes are, and nothing that has a structure.
fn is_buffer(layout: Layout) -> bool {
    (LEAST..=MOST).contains(&layout.size()) && layout.align() == 1
}

fn is_record(layout: Layout) -> bool {
    RECORDS.contains(&layout.size()) && is_buffer(layout)
}

/// The layout that System is asked for, which depends on that of the user alone.
fn at_line(layout: Layout) -> Layout {
    let size = if is_record(layout) { *RECORDS.end() } else { layout.size() };
    match is_buffer(layout) {
        true => Layout::from_size_align(size, LINE).unwrap_or(layout),
        false => layout,
    }
}

/// A kept block, whose content is arbitrary.
fn take() -> Option<*mut u8> {
    // A look first: it is cheaper than a swap.
    let waiting = KEPT.iter().filter(|kept| !kept.load(Ordering::Relaxed).is_null());
    waiting.map(|kept| kept.swap(ptr::null_mut(), Ordering::Acquire)).find(|block| !block.is_null())
}

/// Whether the block is kept. If not, it is still the caller's.
fn keep(block: *mut u8) -> bool {
    let mut free = KEPT.iter().filter(|kept| kept.load(Ordering::Relaxed).is_null());
    free.any(|kept| kept.compare_exchange(ptr::null_mut(), block, Ordering::Release, Ordering::Relaxed).is_ok())
}

// SAFETY: blocks come from System, with at least the size that was asked for and at least the alignment, and go back to it with the layout that they came with.
// Those that are kept meanwhile all came with the same layout, and each has one owner.
unsafe impl GlobalAlloc for AlignedBuffers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_record(layout)
            && let Some(block) = take()
        {
            return block;
        }
        // SAFETY: the caller's layout, with a larger size and alignment at most.
        unsafe { System.alloc(at_line(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`. Those that are kept are left alone: they would have to be cleared.
        unsafe { System.alloc_zeroed(at_line(layout)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_record(layout) && keep(block) {
            return;
        }
        // SAFETY: the block came from System with this very layout.
        unsafe { System.dealloc(block, at_line(layout)) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        if is_record(layout) && is_record(wanted) {
            return block;
        }
        if !is_buffer(layout) && !is_buffer(wanted) {
            // SAFETY: the block came from System with this layout.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: both blocks are as long as the shorter of their sizes, and do not overlap; the old one is not used again.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_at_line(block: *mut u8) -> bool {
        (block as usize).is_multiple_of(LINE)
    }

    #[test]
    fn buffers_begin_at_cache_lines_however_they_came_to_be() {
        let mut odd = Vec::new();
        for size in [LEAST, LEAST + 1, 4096, 16384, 18437, MOST] {
            let layout = Layout::from_size_align(size, 1).unwrap();
            // SAFETY: each block is used within its size, and freed with the layout that it has last.
            unsafe {
                let (plain, zeroed) = (AlignedBuffers.alloc(layout), AlignedBuffers.alloc_zeroed(layout));
                assert!(is_at_line(plain) && is_at_line(zeroed), "{size}");
                assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|byte| *byte == 0));
                AlignedBuffers.dealloc(zeroed, layout);
                // Moves what comes next.
                odd.push(vec![0u8; 24 + size % 100]);
                AlignedBuffers.dealloc(plain, layout);
            }
        }
    }

    #[test]
    fn a_block_that_grows_and_shrinks_keeps_its_bytes() {
        let records = [12289, 18437, 16384, 18438];
        let sizes = [100, LEAST - 1, LEAST, 4096, 8192, 18437, 4096, MOST, MOST + 1, 1 << 20, MOST, 3000, 50];
        let sizes = records.into_iter().chain(sizes);
        // SAFETY: the block is used within its size, and freed with the layout that it has last.
        unsafe {
            let mut layout = Layout::from_size_align(50, 1).unwrap();
            let mut block = AlignedBuffers.alloc(layout);
            block.write_bytes(0x5a, 50);
            for size in sizes {
                block = AlignedBuffers.realloc(block, layout, size);
                let kept = layout.size().min(size);
                assert!(std::slice::from_raw_parts(block, kept).iter().all(|byte| *byte == 0x5a), "{size}");
                layout = Layout::from_size_align(size, 1).unwrap();
                assert!(!is_buffer(layout) || is_at_line(block), "{size}");
                block.write_bytes(0x5a, size);
            }
            AlignedBuffers.dealloc(block, layout);
        }
    }

    /// What one thread gives back another one gets, and no block has two owners.
    #[test]
    fn blocks_for_records_are_used_again_by_one_owner_each() {
        let work = |mark: u8| {
            for turn in 0..20_000 {
                let layouts = [12289, 16384, 18437].map(|size| Layout::from_size_align(size, 1).unwrap());
                // SAFETY: each block is used within its size, and freed with its layout.
                unsafe {
                    let blocks = layouts.map(|layout| AlignedBuffers.alloc(layout));
                    assert!(blocks.iter().all(|block| is_at_line(*block)));
                    let zeroed = AlignedBuffers.alloc_zeroed(layouts[1]);
                    assert!(std::slice::from_raw_parts(zeroed, 64).iter().all(|byte| *byte == 0), "{turn}");
                    blocks.iter().zip(layouts).for_each(|(block, layout)| {
                        block.write(mark);
                        block.add(layout.size() - 1).write(mark);
                    });
                    std::thread::yield_now();
                    blocks.iter().zip(layouts).for_each(|(block, layout)| {
                        assert_eq!((block.read(), block.add(layout.size() - 1).read()), (mark, mark), "{turn}");
                        AlignedBuffers.dealloc(*block, layout);
                    });
                    AlignedBuffers.dealloc(zeroed, layouts[1]);
                }
            }
        };
        std::thread::scope(|scope| (1..=4).for_each(|mark| _ = scope.spawn(move || work(mark))));
        let kept = KEPT.iter().filter(|kept| !kept.load(Ordering::Relaxed).is_null()).count();
        assert!(kept > 0, "nothing is used again");
    }
}
