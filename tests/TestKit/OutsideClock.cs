namespace DarkStorage.TestKit;

/// <summary>The time of day of nodes, set from outside (libfaketime). Timers run as they do.</summary>
public sealed class OutsideClock
{
    private readonly string _file;

    /// <param name="folder">For the file that says it.</param>
    public OutsideClock(string folder)
    {
        _file = Path.Combine(folder, "clock");
        File.WriteAllText(_file, "+0d");
        var library = Directory.GetDirectories("/usr/lib").Select(d => Path.Combine(d, "faketime", "libfaketimeMT.so.1")).FirstOrDefault(File.Exists)
            ?? throw new InvalidOperationException("There is no libfaketime: eng/test.sh installs it (Debian's package faketime).");
        Environment = new Dictionary<string, string>
        {
            ["LD_PRELOAD"] = library, ["FAKETIME_TIMESTAMP_FILE"] = _file, ["FAKETIME_CACHE_DURATION"] = "1",
            ["FAKETIME_DONT_FAKE_MONOTONIC"] = "1", ["DONT_FAKE_MONOTONIC"] = "1", ["FAKETIME_FORCE_MONOTONIC_FIX"] = "0", ["NO_FAKE_STAT"] = "1",
        };
    }

    /// <summary>Of a node that goes by it.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; }

    /// <param name="ahead">In libfaketime's words: <c>+13h</c>, <c>-2d</c>. It is known within a second.</param>
    public async Task SetAsync(string ahead)
    {
        // Whole at each moment, for who reads it.
        await File.WriteAllTextAsync(_file + ".next", ahead);
        File.Move(_file + ".next", _file, overwrite: true);
    }
}
