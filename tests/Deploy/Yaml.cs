using YamlDotNet.Serialization;

namespace DarkStorage.Deploy;

/// <summary>A value of a YAML document, and the way down to what is in it.</summary>
public sealed class Yaml
{
    private static readonly IDeserializer Reader = new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().WithDuplicateKeyChecking().Build();

    private readonly object? _value;

    private Yaml(object? value, string path) => (_value, Path) = (value, path);

    /// <summary>Where in the document this is, for who reads a failure.</summary>
    public string Path { get; }

    public static Yaml Parse(string text, string name = "") => new(Reader.Deserialize<object?>(text), name);

    /// <summary>What is under a name; nothing where there is none.</summary>
    public Yaml this[string name] => new(_value is IDictionary<object, object?> map && map.TryGetValue(name, out var value) ? value : null, $"{Path}/{name}");

    public Yaml this[int index] => new(Items.ElementAtOrDefault(index)?._value, $"{Path}/{index}");

    public bool Exists => _value is not null;

    /// <summary>Text, a number or a truth as text.</summary>
    public string Text => _value switch
    {
        string text => text,
        bool truth => truth ? "true" : "false",
        IDictionary<object, object?> or IList<object?> => throw new InvalidDataException($"{Path} is no plain value."),
        null => throw new InvalidDataException($"There is no {Path}."),
        _ => Convert.ToString(_value, System.Globalization.CultureInfo.InvariantCulture)!,
    };

    /// <summary>Text, or null where there is none.</summary>
    public string? TextOrNull => Exists ? Text : null;

    /// <summary>Of a list; empty where there is none.</summary>
    public IEnumerable<Yaml> Items => _value is IList<object?> list ? list.Select((v, i) => new Yaml(v, $"{Path}/{i}")) : [];

    public IEnumerable<string> Keys => _value is IDictionary<object, object?> map ? map.Keys.Select(k => k.ToString()!) : [];

    public IEnumerable<(string Key, Yaml Value)> Entries => Keys.Select(k => (k, this[k]));

    /// <summary>With what YAML's merge key (<c>&lt;&lt;</c>) brings in, at any depth: what stands beside it goes before it.</summary>
    public Yaml Merge() => new(Merge(_value), Path);

    private static object? Merge(object? value)
    {
        if (value is IList<object?> list) return list.Select(Merge).ToList();
        if (value is not IDictionary<object, object?> map) return value;
        var merged = map.TryGetValue("<<", out var below) ? (Dictionary<object, object?>)Merge(below)! : [];
        foreach (var (key, item) in map.Where(e => !Equals(e.Key, "<<"))) merged[key] = Merge(item);
        return merged;
    }

    /// <summary>All texts in it, at any depth.</summary>
    public IEnumerable<string> AllTexts => _value is IDictionary<object, object?> or IList<object?> ? Entries.Select(e => e.Value).Concat(Items).SelectMany(v => v.AllTexts) : Exists ? [Text] : [];
}
