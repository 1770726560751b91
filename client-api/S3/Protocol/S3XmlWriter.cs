using System.Buffers;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>Writes S3's answers: elements and text in UTF-8, straight into the response's buffer.</summary>
/// <remarks>
/// S3's keys may hold characters that XML 1.0 has no way to write. AWS writes them as references all the same (<c>&amp;#x1;</c>), which
/// lenient parsers read; clients that care ask for <c>encoding-type=url</c>. So do we, and we write CR, LF and TAB as references too,
/// because a parser would normalise them.
/// Call <see cref="Complete"/> at the end: until then the last bytes are not the buffer's.
/// </remarks>
internal sealed class S3XmlWriter(IBufferWriter<byte> output)
{
    public const string Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

    /// <summary>Characters of text encoded at a stroke: bounds what is asked of the output.</summary>
    private const int SliceLength = 1024;

    private static readonly SearchValues<char> Escaped = SearchValues.Create(
        "&<>\"\0\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\v\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f");

    /// <summary>ASCII that needs no escape: what nearly all keys are made of.</summary>
    private static readonly SearchValues<byte> PlainBytes = SearchValues.Create(
        " !#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"u8);

    private Memory<byte> _block;
    private int _used;

    /// <summary>The declaration, and the root element in S3's namespace.</summary>
    public void StartDocument(ReadOnlySpan<byte> root)
    {
        Raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"u8);
        Start(root, "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""u8);
    }

    /// <summary>The declaration, and the root element without a namespace, as errors have it.</summary>
    public void StartBareDocument(ReadOnlySpan<byte> root)
    {
        Raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"u8);
        Start(root);
    }

    public void Start(ReadOnlySpan<byte> name)
    {
        var span = Reserve(name.Length + 2);
        span[0] = (byte)'<';
        name.CopyTo(span[1..]);
        span[name.Length + 1] = (byte)'>';
        _used += name.Length + 2;
    }

    /// <param name="attributes">Written as they are.</param>
    public void Start(ReadOnlySpan<byte> name, ReadOnlySpan<byte> attributes)
    {
        Raw("<"u8);
        Raw(name);
        Raw(" "u8);
        Raw(attributes);
        Raw(">"u8);
    }

    public void End(ReadOnlySpan<byte> name)
    {
        var span = Reserve(name.Length + 3);
        span[0] = (byte)'<';
        span[1] = (byte)'/';
        name.CopyTo(span[2..]);
        span[name.Length + 2] = (byte)'>';
        _used += name.Length + 3;
    }

    public void Element(ReadOnlySpan<byte> name, ReadOnlySpan<char> text)
    {
        if (text.Length <= SliceLength && IndexOfEscaped(text) < 0)     // nearly always: then all in one go
        {
            var span = Reserve(2 * name.Length + 5 + 3 * text.Length);
            span[0] = (byte)'<';
            name.CopyTo(span[1..]);
            span[name.Length + 1] = (byte)'>';
            var end = name.Length + 2 + Encoding.UTF8.GetBytes(text, span[(name.Length + 2)..]);
            span[end] = (byte)'<';
            span[end + 1] = (byte)'/';
            name.CopyTo(span[(end + 2)..]);
            end += name.Length + 2;
            span[end] = (byte)'>';
            _used += end + 1;
            return;
        }
        Start(name);
        Text(text);
        End(name);
    }

    public void Element(ReadOnlySpan<byte> name, string? text) => Element(name, text.AsSpan());

    public void Element(ReadOnlySpan<byte> name, long value)
    {
        Start(name);
        Utf8Formatter.TryFormat(value, Reserve(20), out var written);
        _used += written;
        End(name);
    }

    public void Element(ReadOnlySpan<byte> name, bool value)
    {
        Start(name);
        Raw(value ? "true"u8 : "false"u8);
        End(name);
    }

    /// <summary>A time in UTC to the millisecond, as S3 writes it: <c>2013-05-24T00:00:00.000Z</c>.</summary>
    public void Element(ReadOnlySpan<byte> name, DateTimeOffset time)
    {
        Start(name);
        WriteTime(Reserve(24), time);
        _used += 24;
        End(name);
    }

    /// <summary>An entity tag, in the quotes that are part of it.</summary>
    /// <param name="etag">Without quotes.</param>
    public void ETag(string etag)
    {
        Raw("<ETag>&quot;"u8);
        Text(etag);
        Raw("&quot;</ETag>"u8);
    }

    /// <summary>A key, prefix, delimiter or marker of a listing, percent-encoded where the request said <c>encoding-type=url</c>.</summary>
    public void Key(ReadOnlySpan<byte> name, string? text, bool urlEncoded)
    {
        if (!urlEncoded)
        {
            Element(name, text);
            return;
        }
        Start(name);
        UrlText(text);
        End(name);
    }

    /// <param name="text">UTF-8.</param>
    public void Key(ReadOnlySpan<byte> name, ReadOnlySpan<byte> text, bool urlEncoded)
    {
        Start(name);
        if (urlEncoded) _used += S3UrlEncoding.Encode(text, Reserve(3 * text.Length), keepSlash: true);
        else Text(text);
        End(name);
    }

    /// <param name="text">UTF-8.</param>
    public void Element(ReadOnlySpan<byte> name, ReadOnlySpan<byte> text)
    {
        Start(name);
        Text(text);
        End(name);
    }

    /// <param name="etag">UTF-8, without quotes.</param>
    public void ETag(ReadOnlySpan<byte> etag)
    {
        Raw("<ETag>&quot;"u8);
        Text(etag);
        Raw("&quot;</ETag>"u8);
    }

    /// <summary>An account, as S3 writes an owner or an initiator.</summary>
    public void Account(ReadOnlySpan<byte> name, string account)
    {
        Start(name);
        Element("ID"u8, account);
        Element("DisplayName"u8, account);
        End(name);
    }

    /// <summary>XML that another writer made.</summary>
    public void Fragment(ReadOnlySpan<byte> xml) => Raw(xml);

    /// <summary>Text, escaped.</summary>
    /// <param name="text">UTF-8.</param>
    public void Text(ReadOnlySpan<byte> text)
    {
        if (text.IndexOfAnyExcept(PlainBytes) < 0) Raw(text);
        else Text(Encoding.UTF8.GetString(text));
    }

    /// <summary>Text, escaped.</summary>
    public void Text(ReadOnlySpan<char> text)
    {
        while (text.Length > 0)
        {
            var plain = IndexOfEscaped(text);
            if (plain != 0)
            {
                Utf8(plain < 0 ? text : text[..plain]);
                if (plain < 0) return;
            }
            Reference(text[plain]);
            text = text[(plain + 1)..];
        }
    }

    /// <summary>Hands the last bytes to the output.</summary>
    public void Complete()
    {
        output.Advance(_used);
        _block = default;
        _used = 0;
    }

    /// <summary>The two characters that are none are looked for apart: a set of ASCII alone is found much faster.</summary>
    private static int IndexOfEscaped(ReadOnlySpan<char> text)
    {
        var ascii = text.IndexOfAny(Escaped);
        var none = (ascii < 0 ? text : text[..ascii]).IndexOfAnyInRange('\ufffe', '\uffff');
        return none < 0 ? ascii : none;
    }

    private void UrlText(ReadOnlySpan<char> text)
    {
        Span<byte> utf8 = stackalloc byte[3 * SliceLength];
        while (text.Length > 0)
        {
            var slice = WholeCharacters(text);
            var length = Encoding.UTF8.GetBytes(slice, utf8);
            var written = S3UrlEncoding.Encode(utf8[..length], Reserve(3 * length), keepSlash: true);
            _used += written;       // not in one statement: reserving may begin a new block
            text = text[slice.Length..];
        }
    }

    private void Utf8(ReadOnlySpan<char> text)
    {
        while (text.Length > 0)
        {
            var slice = WholeCharacters(text);
            var written = Encoding.UTF8.GetBytes(slice, Reserve(3 * slice.Length));
            _used += written;
            text = text[slice.Length..];
        }
    }

    /// <summary>The beginning of a text, not cut within a surrogate pair.</summary>
    private static ReadOnlySpan<char> WholeCharacters(ReadOnlySpan<char> text) =>
        text.Length <= SliceLength ? text : text[..(char.IsHighSurrogate(text[SliceLength - 1]) ? SliceLength - 1 : SliceLength)];

    private void Reference(char c)
    {
        switch (c)
        {
            case '&': Raw("&amp;"u8); break;
            case '<': Raw("&lt;"u8); break;
            case '>': Raw("&gt;"u8); break;
            case '"': Raw("&quot;"u8); break;
            default:
                Raw("&#x"u8);
                Utf8Formatter.TryFormat((uint)c, Reserve(8), out var written, new StandardFormat('x'));
                _used += written;
                Raw(";"u8);
                break;
        }
    }

    private void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        _used += bytes.Length;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Span<byte> Reserve(int length)
    {
        if (_block.Length - _used < length) NewBlock(length);
        return _block.Span[_used..];
    }

    private void NewBlock(int length)
    {
        if (_used > 0) output.Advance(_used);
        _block = output.GetMemory(Math.Max(length, 4096));
        _used = 0;
    }

    private static void WriteTime(Span<byte> span, DateTimeOffset time)
    {
        var utc = time.UtcDateTime;
        Digits(span, 0, utc.Year / 100);
        Digits(span, 2, utc.Year % 100);
        span[4] = (byte)'-';
        Digits(span, 5, utc.Month);
        span[7] = (byte)'-';
        Digits(span, 8, utc.Day);
        span[10] = (byte)'T';
        Digits(span, 11, utc.Hour);
        span[13] = (byte)':';
        Digits(span, 14, utc.Minute);
        span[16] = (byte)':';
        Digits(span, 17, utc.Second);
        span[19] = (byte)'.';
        span[20] = (byte)('0' + utc.Millisecond / 100);
        Digits(span, 21, utc.Millisecond % 100);
        span[23] = (byte)'Z';
    }

    private static void Digits(Span<byte> span, int at, int value)
    {
        span[at + 1] = (byte)('0' + value % 10);
        span[at] = (byte)('0' + value / 10);
    }
}
