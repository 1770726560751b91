using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Orleans.Runtime;

/// <summary>How integer and GUID keys, alone or with a string extension, are written as key bytes: hex, then <c>+extension</c>.</summary>
public static class GrainIdKeyExtensions
{
    public static IdSpan CreateIntegerKey(long key) => IdSpan.Create(key.ToString("X", CultureInfo.InvariantCulture));

    public static IdSpan CreateIntegerKey(long key, string? keyExtension) => string.IsNullOrWhiteSpace(keyExtension)
        ? CreateIntegerKey(key)
        : IdSpan.Create($"{key.ToString("X", CultureInfo.InvariantCulture)}+{keyExtension}");

    public static IdSpan CreateGuidKey(Guid key) => IdSpan.Create(key.ToString("N"));

    public static IdSpan CreateGuidKey(Guid key, string? keyExtension) => string.IsNullOrWhiteSpace(keyExtension)
        ? CreateGuidKey(key)
        : IdSpan.Create($"{key:N}+{keyExtension}");

    public static bool TryGetIntegerKey(this GrainId grainId, out long key, out string? keyExt)
    {
        var digits = Split(grainId.Key.AsSpan(), out keyExt);
        return Utf8Parser.TryParse(digits, out key, out var used, 'X') && used == digits.Length;
    }

    public static long GetIntegerKey(this GrainId grainId, out string? keyExt) => grainId.TryGetIntegerKey(out var key, out keyExt)
        ? key
        : throw new ArgumentException($"The key of {grainId} is no integer key");

    public static long GetIntegerKey(this GrainId grainId) => grainId.GetIntegerKey(out _);

    public static bool TryGetGuidKey(this GrainId grainId, out Guid key, out string? keyExt)
    {
        var digits = Split(grainId.Key.AsSpan(), out keyExt);
        return Utf8Parser.TryParse(digits, out key, out var used, 'N') && used == digits.Length;
    }

    public static Guid GetGuidKey(this GrainId grainId, out string? keyExt) => grainId.TryGetGuidKey(out var key, out keyExt)
        ? key
        : throw new ArgumentException($"The key of {grainId} is no GUID key");

    public static Guid GetGuidKey(this GrainId grainId) => grainId.GetGuidKey(out _);

    private static ReadOnlySpan<byte> Split(ReadOnlySpan<byte> key, out string? extension)
    {
        var plus = key.IndexOf((byte)'+');
        extension = plus < 0 ? null : Encoding.UTF8.GetString(key[(plus + 1)..]);
        return plus < 0 ? key : key[..plus];
    }
}
