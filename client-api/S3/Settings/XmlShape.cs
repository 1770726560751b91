namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>What an element of a stored document may hold: for settings that are kept and checked and that nothing acts on yet.</summary>
/// <param name="Min">How often the element stands in its parent, at the least,</param>
/// <param name="Max">and at the most.</param>
/// <param name="IsText">What its text must be; null where it holds elements.</param>
internal sealed record XmlShape(string Name, int Min, int Max, Func<string, bool>? IsText, params XmlShape[] Children)
{
    /// <exception cref="S3Exception"><c>MalformedXML</c>.</exception>
    public void Check(S3Element element)
    {
        if (IsText is not null)
        {
            if (!IsText(element.Leaf().Trim())) throw S3Element.Malformed();
            return;
        }
        element.Allow([.. Children.Select(c => c.Name)]);
        foreach (var child in Children)
        {
            var count = 0;
            foreach (var found in element.All(child.Name))
            {
                if (++count > child.Max) throw S3Element.Malformed();
                child.Check(found);
            }
            if (count < child.Min) throw S3Element.Malformed();
        }
    }

    public XmlShape Optional => this with { Min = 0 };

    public XmlShape Many(int max) => this with { Max = max };

    public static XmlShape Holds(string name, params XmlShape[] children) => new(name, 1, 1, null, children);

    /// <summary>Text of a length within bounds.</summary>
    public static XmlShape Text(string name, int lengthMax = 1024) => new(name, 1, 1, t => t.Length <= lengthMax);

    public static XmlShape Named(string name, int lengthMax = 1024) => new(name, 1, 1, t => t.Length > 0 && t.Length <= lengthMax);

    public static XmlShape OneOf(string name, params string[] words) => new(name, 1, 1, words.Contains);

    public static XmlShape Number(string name, int min, int max) =>
        new(name, 1, 1, t => int.TryParse(t, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var n) && n >= min && n <= max);

    public static XmlShape BucketArn(string name) => new(name, 1, 1, t => t.StartsWith("arn:aws:s3:::", StringComparison.Ordinal) && t.Length > "arn:aws:s3:::".Length && t.Length <= 256);
}
