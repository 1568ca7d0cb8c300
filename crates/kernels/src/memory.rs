//! What happens to memory that the kernels' results gave back.

/// Tells the C library to keep freed memory for the next allocation instead of returning it to the system. Call it once,
/// at the start of a program that trains on the CPU.
///
/// Every operation of a training step allocates its result and every step frees them all. By default glibc maps and
/// unmaps each large block, and the system clears its pages anew each time: a third of a step went there. The peak of
/// memory stays; between peaks it is not given back. Without effect where the C library is another.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` changes numbers of the allocator under its own lock.
    unsafe {
        // Blocks up to 1 GiB come from the heap, whose top is never trimmed. A refused setting leaves the default.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
