namespace DarkStorage.Storage.Packs;

/// <summary>The drive under the packs: the seam where tests make a disk lie, tear a write, fill up, or fail a sync.</summary>
/// <remarks>Failures are <see cref="IOException"/>; <see cref="DiskFullException"/> where there is no room.</remarks>
internal interface IChunkDisk : IDisposable
{
    /// <summary>Whether punched bytes read as zeros, return their space, and show in <see cref="IPackFile.NextHole"/>.</summary>
    bool PunchesHoles { get; }

    /// <summary>Bytes that may still be written.</summary>
    long FreeBytes { get; }

    /// <summary>Names of all files.</summary>
    IReadOnlyList<string> List();

    /// <summary>Makes a file of so many unwritten bytes, which read as zeros.</summary>
    IPackFile Create(string name, long bytes);

    /// <summary>Opens a file for reading, punching and truncating.</summary>
    IPackFile Open(string name);

    void Delete(string name);

    /// <summary>Makes creations, renames and deletions durable.</summary>
    void SyncDirectory();

    /// <summary>Writes a whole small file so that after a crash it is there whole or not at all.</summary>
    void WriteWhole(string name, ReadOnlySpan<byte> content);

    /// <returns>Null where there is no such file.</returns>
    byte[]? ReadWhole(string name);
}

/// <summary>One pack file.</summary>
internal interface IPackFile : IDisposable
{
    long Length { get; }

    /// <summary>Writes all vectors one after another. Offset, addresses and lengths are multiples of 4 KiB.</summary>
    void Write(long offset, ReadOnlySpan<IoVector> vectors);

    /// <summary>Fills <paramref name="first"/>, then <paramref name="second"/>.</summary>
    /// <param name="mayBlock">If not, nothing is waited for: the answer is -1 where the disk would have to be asked.</param>
    /// <returns>Bytes read, fewer than asked only at the end of the file.</returns>
    int Read(long offset, Span<byte> first, Span<byte> second, bool mayBlock);

    /// <summary>Reads past the caches, from the medium, where the system can: scrub's way. Offset, address and length are multiples of 4 KiB.</summary>
    int ReadMedium(long offset, Span<byte> destination);

    /// <summary>A hint that these bytes are read next.</summary>
    void WillNeed(long offset, long bytes);

    /// <summary>Returns when all that was written is on the medium. After a failure nothing unsynced may be believed, whatever a later call says.</summary>
    void Sync();

    void Punch(long offset, long bytes);

    void Truncate(long bytes);

    /// <returns>The first byte at or after <paramref name="offset"/> that may be something else than a hole; -1 where only holes follow.</returns>
    long NextData(long offset);

    /// <returns>The first byte at or after <paramref name="offset"/> that lies in a hole; the end of the file counts as one.</returns>
    long NextHole(long offset);

    /// <summary>Nothing more will be written.</summary>
    void EndWriting();
}

/// <summary>Memory to be written, laid out as the system's <c>iovec</c>.</summary>
internal unsafe struct IoVector(byte* address, nuint length)
{
    public byte* Address = address;
    public nuint Length = length;
}

/// <summary>There is no room on the drive.</summary>
internal sealed class DiskFullException : IOException
{
    public DiskFullException() : base("There is no room on the drive.") { }
    public DiskFullException(string message) : base(message) { }
    public DiskFullException(string message, Exception inner) : base(message, inner) { }
}
