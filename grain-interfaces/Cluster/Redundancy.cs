using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>How the bytes of a blob are kept beyond one drive: so many copies, or cut into data shards with parity shards beside them, of which any as many as there are data shards give the
/// whole. It is a part of the blob's id (<see cref="BlobId.Redundancy"/>), so that who knows nothing but the id knows what ought to be where.</summary>
/// <remarks>Only what has a code can be said; codes stay for ever, since ids have them. docs/FORMATS.md, "Blob ids".</remarks>
public readonly record struct Redundancy
{
    /// <summary>Codes are this many bits of an id.</summary>
    public const int CodeBits = 6;

    private const byte FirstStripe = 8;

    private static readonly ImmutableArray<(byte Data, byte Parity)> Stripes =
    [
        (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3), (4, 4), (5, 1), (5, 2), (5, 3), (6, 2), (6, 3), (6, 4), (7, 2), (7, 3), (8, 2), (8, 3), (8, 4), (9, 3), (9, 4),
        (10, 2), (10, 3), (10, 4), (12, 2), (12, 3), (12, 4), (14, 2), (16, 2), (16, 3), (16, 4), (16, 8), (20, 4), (24, 4), (32, 8),
    ];

    private static readonly ImmutableArray<int> CopiesThatAre = [1, 2, 3, 5];

    private Redundancy(byte code) => Code = code;

    /// <summary>As many copies as the cluster keeps by default.</summary>
    public static readonly Redundancy Default;

    /// <summary>0 for the default, 1 to 5 for that many copies, from 8 on the stripes in their order.</summary>
    public byte Code { get; }

    public bool IsDefault => Code == 0;

    public bool IsStriped => Code >= FirstStripe;

    /// <summary>Copies that are wanted, where it is neither the default nor a stripe.</summary>
    public int Copies => Code is > 0 and < FirstStripe ? Code : throw new InvalidOperationException($"{this} is no number of copies.");

    /// <summary>Shards of content in a stripe; of copies 1.</summary>
    public int Data => IsStriped ? Stripes[Code - FirstStripe].Data : 1;

    /// <summary>Shards beside them: as many may be lost.</summary>
    public int Parity => IsStriped ? Stripes[Code - FirstStripe].Parity : Copies - 1;

    /// <summary>Nodes that have something of a blob.</summary>
    public int Width => Data + Parity;

    /// <summary>How many of those must have their part durably before a write is acknowledged: of three copies two, of 4+2 shards five. What may be lost right then is half of what may be
    /// lost once all have it.</summary>
    public int Quorum => Data + ((Parity + 1) / 2);

    /// <summary>How content is kept that is too short to be worth cutting: in copies that survive the loss of as many nodes as this does; as it is where no number of copies does, as of 16+8.</summary>
    public Redundancy ForShort
    {
        get
        {
            if (!IsStriped) return this;
            var losses = Parity;
            return CopiesThatAre.FirstOrDefault(copies => copies > losses) is > 0 and var enough ? OfCopies(enough) : this;
        }
    }

    /// <exception cref="ArgumentException">Not 1, 2, 3 or 5.</exception>
    public static Redundancy OfCopies(int copies) =>
        CopiesThatAre.Contains(copies) ? new((byte)copies) : throw new ArgumentException($"There are {string.Join(", ", CopiesThatAre)} copies, not {copies}.", nameof(copies));

    /// <returns>Null where there is no code for such a stripe.</returns>
    public static Redundancy? OfStripe(int data, int parity)
    {
        for (var i = 0; i < Stripes.Length; i++)
        {
            if (Stripes[i] == (data, parity)) return new((byte)(FirstStripe + i));
        }
        return null;
    }

    /// <returns>Null where a later version of this program may have given the code a meaning, and this one has none.</returns>
    public static Redundancy? OfCode(int code) => code == 0 || CopiesThatAre.Contains(code) || (code >= FirstStripe && code < FirstStripe + Stripes.Length) ? new((byte)code) : null;

    /// <summary>All stripes that can be asked for.</summary>
    public static IEnumerable<Redundancy> AllStripes => Enumerable.Range(FirstStripe, Stripes.Length).Select(static code => new Redundancy((byte)code));

    /// <summary>Such as <c>4+2</c>, <c>2 copies</c> or <c>default</c>.</summary>
    public override string ToString() => IsStriped ? string.Create(CultureInfo.InvariantCulture, $"{Data}+{Parity}") : IsDefault ? "default" : Code == 1 ? "1 copy" : string.Create(CultureInfo.InvariantCulture, $"{Code} copies");
}
