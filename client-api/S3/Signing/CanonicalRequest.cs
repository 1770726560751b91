using System.Buffers;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The one form in which Signature V4 writes a request, so that both sides hash the same bytes.</summary>
internal static class CanonicalRequest
{
    /// <param name="reencodePath">The path decoded and encoded anew, for clients that sign another spelling than they send; else as sent.</param>
    public static void Write(ref PooledBytes to, in SignedRequest request, ParsedSignature signature, bool reencodePath)
    {
        to.Add(request.Method);
        to.Add((byte)'\n');
        if (reencodePath) AddReencoded(ref to, request.Target.RawPath);
        else to.Add(request.Target.RawPath);
        to.Add((byte)'\n');
        AddQuery(ref to, request.Target.Query);
        to.Add((byte)'\n');
        AddHeaders(ref to, request, signature.SignedHeaders);
        to.Add((byte)'\n');
        to.Add(signature.SignedHeaders);
        to.Add((byte)'\n');
        to.Add(signature.Payload.Text);
    }

    private static void AddReencoded(ref PooledBytes to, string rawPath)
    {
        var decoded = ArrayPool<byte>.Shared.Rent(rawPath.Length);
        var length = S3UrlEncoding.Decode(rawPath, decoded, plusIsSpace: false);   // was decoded before, to get at the key
        to.Advance(S3UrlEncoding.Encode(decoded.AsSpan(0, Math.Max(0, length)), to.Reserve(3 * rawPath.Length), keepSlash: true));
        ArrayPool<byte>.Shared.Return(decoded);
    }

    /// <summary>Names and values encoded anew, sorted by encoded name and then value, the signature itself left out.</summary>
    private static void AddQuery(ref PooledBytes to, S3Query query)
    {
        if (query.Parameters.IsEmpty) return;
        var encoded = new PooledBytes(1024);
        Span<Parameter> sorted = stackalloc Parameter[query.Parameters.Length];   // at most S3Query.CountMax
        var count = 0;
        foreach (var (name, value) in query.Parameters)
        {
            if (name == "X-Amz-Signature") continue;
            var start = encoded.Length;
            AddEncoded(ref encoded, name);
            var middle = encoded.Length;
            AddEncoded(ref encoded, value);
            sorted[count++] = new(start, middle, encoded.Length);
        }
        sorted = sorted[..count];
        Sort(sorted, encoded.Span);
        for (var i = 0; i < count; i++)
        {
            if (i > 0) to.Add((byte)'&');
            to.Add(sorted[i].Name(encoded.Span));
            to.Add((byte)'=');
            to.Add(sorted[i].Value(encoded.Span));
        }
        encoded.Dispose();
    }

    private static void AddEncoded(ref PooledBytes to, string text)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(3 * text.Length);
        var length = Encoding.UTF8.GetBytes(text, bytes);
        to.Advance(S3UrlEncoding.Encode(bytes.AsSpan(0, length), to.Reserve(3 * length), keepSlash: false));
        ArrayPool<byte>.Shared.Return(bytes);
    }

    /// <summary>By insertion: most queries come sorted, and none is long.</summary>
    private static void Sort(Span<Parameter> parameters, ReadOnlySpan<byte> text)
    {
        for (var i = 1; i < parameters.Length; i++)
        {
            var moved = parameters[i];
            var j = i;
            for (; j > 0 && Compare(moved, parameters[j - 1], text) < 0; j--) parameters[j] = parameters[j - 1];
            parameters[j] = moved;
        }
    }

    private static int Compare(Parameter a, Parameter b, ReadOnlySpan<byte> text)
    {
        var byName = a.Name(text).SequenceCompareTo(b.Name(text));
        return byName != 0 ? byName : a.Value(text).SequenceCompareTo(b.Value(text));
    }

    /// <summary>A signed header that is not there is written with an empty value: then the signature can't match unless the client signed it as empty.</summary>
    private static void AddHeaders(ref PooledBytes to, in SignedRequest request, string signedHeaders)
    {
        foreach (var range in signedHeaders.AsSpan().Split(';'))
        {
            var name = signedHeaders[range];
            to.Add(name);
            to.Add((byte)':');
            var values = request.Headers[name];
            for (var i = 0; i < values.Count; i++)
            {
                if (i > 0) to.Add((byte)',');
                AddCollapsed(ref to, values[i]);
            }
            to.Add((byte)'\n');
        }
    }

    /// <summary>A value without white space around it, and one space for each run within.</summary>
    private static void AddCollapsed(ref PooledBytes to, ReadOnlySpan<char> value)
    {
        value = value.Trim(" \t");
        while (true)
        {
            var space = value.IndexOfAny(' ', '\t');
            if (space < 0) break;
            to.Add(value[..space]);
            to.Add((byte)' ');
            value = value[space..].TrimStart(" \t");
        }
        to.Add(value);
    }

    private readonly record struct Parameter(int Start, int Middle, int End)
    {
        public ReadOnlySpan<byte> Name(ReadOnlySpan<byte> text) => text[Start..Middle];
        public ReadOnlySpan<byte> Value(ReadOnlySpan<byte> text) => text[Middle..End];
    }
}
