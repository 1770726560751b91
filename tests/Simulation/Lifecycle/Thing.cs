using System.Globalization;

namespace DarkStorage.Simulation.Lifecycle;

internal enum Place
{
    Hot,
    Warm,
    Cold,
    Archive,
    Offsite,
    Gone,
}

/// <summary>One object, and where it has to be: what the bucket's rules say (<see cref="AgeingWorld"/> has them), in other words, and by nothing of the program.</summary>
internal sealed class Thing
{
    private static readonly string[] Folders = ["pin", "logs", "media", "data"];
    private static readonly string[] Extensions = [".log", ".jpg", ".CSV", ""];

    private readonly int _number;
    private readonly int _seed;

    public Thing(int number, int seed)
    {
        (_number, _seed) = (number, seed);
        // A fifth is in the bucket with S3's document, all of it from the beginning.
        HasDocument = number % 5 == 4;
        MadeOn = HasDocument ? 0 : (number % 4) switch { 0 => 60, 1 => 200, _ => 0 };
        Folder = HasDocument ? (number / 5 % 3) switch { 0 => "logs", 1 => "tmp", _ => "data" } : Folders[number / 5 % 4];
        Extension = Extensions[number / 20 % 4];
        Key = string.Create(CultureInfo.InvariantCulture, $"{Folder}/{number:D6}{Extension}");
        // One of 64 is more than an index keeps, and has bytes that move.
        Length = number % 64 == 5 ? 4_200 + (number % 5_000) : number % 97;
        IsTagged = !HasDocument && Seeds.Mix((ulong)number) % 4 == 0;
        Reads = HasDocument ? [] : (Seeds.Mix((ulong)number) / 4 % 150) switch { 0 => [(95, 3)], 1 => [(297, 1)], 2 => [(95, 1), (297, 4)], _ => [] };
        Reads = [.. Reads.Where(r => r.Day > MadeOn && !(Folder == "data" && Extension == ".CSV"))];
    }

    public bool HasDocument { get; }

    /// <summary>Days since the beginning.</summary>
    public int MadeOn { get; }

    public string Folder { get; }

    public string Extension { get; }

    public string Key { get; }

    public int Length { get; }

    public bool IsTagged { get; }

    public IReadOnlyList<(int Day, int Count)> Reads { get; }

    public Place Place { get; private set; }

    public byte[] Content()
    {
        var content = new byte[Length];
        Seeds.Fork(_seed, _number).NextBytes(content);
        return content;
    }

    /// <summary>Where it is when all rules were followed on a day, before it is read on that day.</summary>
    public void Age(int today)
    {
        if (today < MadeOn) return;
        var age = today - MadeOn;
        if (HasDocument) Place = ByDocument(age);
        else Place = ByPolicies(age, today) ?? Place;
    }

    private Place ByDocument(int age) => Folder switch
    {
        "logs" when age > 90 => Place.Cold,
        "logs" when age > 30 => Place.Warm,
        "tmp" when age > 400 => Place.Gone,
        "data" when age > 300 => Place.Cold,
        "data" when age > 45 => Place.Warm,
        _ => Place.Hot,
    };

    private Place? ByPolicies(int age, int today)
    {
        var read = Reads.Where(r => r.Day < today).ToList();
        var unread = today - read.Select(r => r.Day).DefaultIfEmpty(MadeOn).Max();
        if (read.Where(r => r.Day > today - 7).Sum(r => r.Count) > 2) return Place.Hot;
        if (Folder == "pin") return Place.Hot;
        if (Extension == ".log" && unread > 25) return Place.Cold;
        if (Folder == "data" && IsTagged && age > 120) return Place.Warm;
        if (Length > 4_096 && age > 365 && read.Count == 0) return Place.Archive;
        if (Folder == "data" && Extension == ".CSV" && unread > 300) return Place.Offsite;
        if (Extension == ".jpg" && unread > 150) return Place.Warm;
        return null;
    }
}
