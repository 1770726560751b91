using System.Text;
using System.Text.Json;
using DarkStorage.GrainInterfaces;

namespace DarkStorage.Storage.Encryption;

/// <summary>What a client binds a data key to: names and texts that must be given again to open it. Not secret.</summary>
public sealed class KeyContext
{
    /// <summary>Bytes of the JSON at most: S3's limit on the header is 8 KiB for all headers together, and this is one of them.</summary>
    public const int LengthMax = 4096;

    private const int PairsMax = 64;

    public static readonly KeyContext Empty = new([]);

    private KeyContext(SortedDictionary<string, string> pairs)
    {
        Pairs = pairs;
        Canonical = pairs.Count == 0 ? [] : JsonSerializer.SerializeToUtf8Bytes(pairs, Options);
    }

    private static readonly JsonSerializerOptions Options = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>In the order of their names (UTF-16 code units).</summary>
    public IReadOnlyDictionary<string, string> Pairs { get; }

    /// <summary>JSON without spaces, names in their order, so that two ways to write the same context give the same bytes; empty where there are no pairs.</summary>
    public ReadOnlyMemory<byte> Canonical { get; }

    /// <param name="json">A flat JSON object of texts; null or empty for none.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>.</exception>
    public static KeyContext Parse(string? json)
    {
        if (string.IsNullOrEmpty(json)) return Empty;
        if (Encoding.UTF8.GetByteCount(json) > LengthMax) throw Invalid($"is longer than {LengthMax} bytes");
        try
        {
            using var document = JsonDocument.Parse(json, new() { MaxDepth = 2 });
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw Invalid("is no JSON object");
            var pairs = new SortedDictionary<string, string>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Value.ValueKind != JsonValueKind.String) throw Invalid("has a value that is no text");
                if (!pairs.TryAdd(property.Name, property.Value.GetString()!)) throw Invalid("names something twice");
                if (pairs.Count > PairsMax) throw Invalid($"has more than {PairsMax} pairs");
            }
            return new(pairs);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Invalid("is no JSON");
        }
    }

    private static StorageException Invalid(string how) => new(StorageError.InvalidArgument, $"The encryption context {how}.");
}
