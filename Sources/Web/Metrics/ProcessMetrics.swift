import Glibc

/// What the operating system says of this process.
package enum ProcessMetrics {
    /// Adds resident memory, processor time and open files to `registry`.
    package static func register(in registry: MetricRegistry) {
        registry.gauge("process_resident_memory_bytes", help: "Resident memory.") { Double(residentByteCount) }
        registry.gauge("process_open_fds", help: "Open file descriptors.") { Double(openFileCount) }
        registry.gauge("process_cpu_seconds", help: "Processor time used, user and system.") { processorSeconds }
    }

    /// Resident memory in bytes; 0 when unknown.
    package static var residentByteCount: Int {
        guard let text = smallFile("/proc/self/statm") else { return 0 }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Open file descriptors; 0 when unknown.
    package static var openFileCount: Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without ".", ".." and the directory itself.
        return max(0, count - 3)
    }

    /// User and system time in seconds.
    package static var processorSeconds: Double {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func smallFile(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(file, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
