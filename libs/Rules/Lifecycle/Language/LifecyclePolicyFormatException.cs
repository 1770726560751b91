using System.Globalization;
using System.Text;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>The text is no lifecycle policy, or asks for what cannot be. Its message says where and why, and shows the line with a caret under the place.</summary>
public sealed class LifecyclePolicyFormatException : Exception
{
    internal LifecyclePolicyFormatException(string text, TextPlace place, string sentence)
        : base($"Line {place.Line}, column {place.Column}: {sentence}\n{place.Show(text)}") => (Place, Sentence) = (place, sentence);

    public TextPlace Place { get; }

    /// <summary>What is wrong, without the place.</summary>
    public string Sentence { get; }
}

/// <summary>A place in a policy's text.</summary>
/// <param name="Offset">UTF-16 units in front of it.</param>
/// <param name="Line">Counted from 1.</param>
/// <param name="Column">Counted from 1, in what a reader takes for one character: a letter with its accents, or an emoji of several code points, is one.</param>
public readonly record struct TextPlace(int Offset, int Line, int Column)
{
    /// <summary>Of a line that is longer, only what is around the place is shown.</summary>
    private const int ShownMax = 100;

    internal static TextPlace At(ReadOnlySpan<char> text, int offset)
    {
        var start = text[..offset].LastIndexOf('\n') + 1;
        var column = 1;
        // Begun at the line: what the offset would cut in two is counted as one that it is in.
        for (var at = start; at < offset; column++)
        {
            at += StringInfo.GetNextTextElementLength(text[at..]);
            if (at > offset) break;
        }
        return new(offset, text[..offset].Count('\n') + 1, column);
    }

    /// <returns>The line of the text, and under it a caret.</returns>
    internal string Show(ReadOnlySpan<char> text)
    {
        var start = text[..Offset].LastIndexOf('\n') + 1;
        var length = text[start..].IndexOf('\n');
        var line = (length < 0 ? text[start..] : text.Slice(start, length)).TrimEnd('\r');
        var (first, last) = (Math.Max(1, Column - ShownMax / 2), Math.Max(1, Column - ShownMax / 2) + ShownMax);
        var (shown, under) = (new StringBuilder(), new StringBuilder());
        var (at, column) = (0, 1);
        for (; at < line.Length && column < last; column++)
        {
            var element = line.Slice(at, StringInfo.GetNextTextElementLength(line[at..]));
            at += element.Length;
            if (column < first) continue;
            if (element is "\t") shown.Append('\t');
            else if (char.IsControl(element[0]) || (element.Length == 1 && char.IsSurrogate(element[0]))) shown.Append('\uFFFD');
            else shown.Append(element);
            // A tab stands under a tab, so that the caret is right however wide they are.
            if (column < Column) under.Append(element is "\t" ? '\t' : ' ');
        }
        for (; column < Column; column++) under.Append(' ');
        var isCut = first > 1;
        return $"{(isCut ? "…" : "")}{shown}{(at < line.Length ? "…" : "")}\n{(isCut ? " " : "")}{under}^";
    }

    public override string ToString() => $"line {Line}, column {Column}";
}
