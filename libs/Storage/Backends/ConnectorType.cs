using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.GrainInterfaces;

namespace DarkStorage.Storage.Backends;

/// <summary>The kinds of places outside that this program can keep bytes in, and how one is opened.</summary>
public interface IConnectors
{
    /// <summary>In the order of their names.</summary>
    ImmutableArray<ConnectorType> Types { get; }

    /// <param name="name">What the integration is called: in metrics and in messages.</param>
    /// <param name="settings">As <see cref="ConnectorType.Complete"/> gave them.</param>
    /// <param name="tokens">For a place whose settings have an application (<see cref="ConnectorType.ApplicationOf"/>); nothing is asked of them before they are needed.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: there is no such type, or a setting can't be right.</exception>
    IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings, IAccessTokens? tokens = null);
}

/// <summary>A backend with its bounds around it, and a count of what went through.</summary>
public interface IMeteredBackend : IBackend
{
    /// <summary>What was counted since the last call of this.</summary>
    GrainInterfaces.Integrations.BackendUsage TakeUsage();
}

/// <summary>One kind of place outside: data, so that a command line and a console can draw a form from it.</summary>
/// <param name="Name">As in <c>integrations add NAME</c>.</param>
/// <param name="Title">For people.</param>
/// <param name="Help">A sentence or two for who chooses.</param>
/// <param name="Fields">What it has to be told.</param>
/// <param name="Presets">Well-known places of this kind; the first field values to begin with.</param>
public sealed record ConnectorType(string Name, string Title, string Help, ImmutableArray<ConnectorField> Fields, ImmutableArray<ConnectorPreset> Presets)
{
    /// <summary>Characters of one setting's value.</summary>
    public const int ValueLengthMax = 16 << 10;

    /// <summary>The setting that is asked of the place, and of nobody else: its id. It is no field.</summary>
    public const string PlaceId = "place-id";

    /// <summary>Places of this kind have ids (<see cref="IBackend.IdentifyAsync"/>), as their settings could also be those of another: of a mount point without its mount.</summary>
    public bool HasPlaceId { get; init; }

    /// <summary>Services by which somebody may let the cluster into their place; empty where places of this kind know other credentials alone.</summary>
    public ImmutableArray<OAuthService> OAuth { get; init; } = [];

    /// <summary>What asks for access where settings say that somebody is to give it: an application is named, and no other credentials.</summary>
    /// <param name="settings">As <see cref="Complete"/> returned them.</param>
    /// <returns>Null where nobody is to be asked.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: an address is missing, or can't be one.</exception>
    public OAuthApplication? ApplicationOf(IReadOnlyDictionary<string, string> settings) =>
        settings.ContainsKey(OAuthService.ClientId) && OAuth.FirstOrDefault(s => s.IsFor(settings)) is { } service ? OAuthApplication.From(service, settings) : null;

    /// <summary>Checks settings as they were given, and fills in what was there before, or else what the preset and the defaults say.</summary>
    /// <param name="preset">Null for none.</param>
    /// <param name="given">An empty text takes a setting back to what the preset or the default says.</param>
    /// <param name="before">What an earlier call returned, where settings are changed.</param>
    /// <returns>A value for each field that has one.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>, with the sentence that says which field and why.</exception>
    public ImmutableSortedDictionary<string, string> Complete(string? preset, IEnumerable<KeyValuePair<string, string>> given, ImmutableSortedDictionary<string, string>? before = null)
    {
        // A preset that a program from before had says nothing any more of what was added with it.
        var known = Known(before is null || Presets.Any(p => p.Name == preset) ? preset : null);
        var complete = (before ?? known).ToBuilder();
        foreach (var (name, value) in given)
        {
            var field = Fields.FirstOrDefault(f => f.Name == name) ?? throw Invalid($"{Name} has no field {name}; there are: {string.Join(", ", Fields.Select(f => f.Name))}.");
            if (value.Length > 0)
            {
                if (field.WhyNot(value) is { } reason) throw Invalid($"{name}: {reason}");
                complete[name] = value;
            }
            else if (known.TryGetValue(name, out var fallback))
            {
                complete[name] = fallback;
            }
            else
            {
                complete.Remove(name);
            }
        }
        if (Fields.FirstOrDefault(f => f.IsRequired && !complete.ContainsKey(f.Name)) is { } missing) throw Invalid($"{Name} needs {missing.Name}: {missing.Help}");
        // Settings that were kept before a preset required it stay, as what is there is where they say.
        var required = Presets.FirstOrDefault(p => p.Name == preset)?.Requires ?? [];
        if (required.FirstOrDefault(r => !complete.ContainsKey(r) && (before is null || before.ContainsKey(r))) is { } unsaid) throw Invalid($"The preset {preset} needs {unsaid}.");
        return complete.ToImmutable();
    }

    /// <summary>What is so where nothing is said.</summary>
    private ImmutableSortedDictionary<string, string> Known(string? preset)
    {
        var known = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var field in Fields)
        {
            if (field.Default is { } value) known[field.Name] = value;
        }
        if (preset is null) return known.ToImmutable();
        var chosen = Presets.FirstOrDefault(p => p.Name == preset)
            ?? throw Invalid($"{Name} has no preset {preset}; there are{(Presets.IsEmpty ? " none" : $": {string.Join(", ", Presets.Select(p => p.Name))}")}.");
        foreach (var (name, value) in chosen.Values) known[name] = value;
        return known.ToImmutable();
    }

    /// <summary>Whether two settings are of one place, which may be called otherwise.</summary>
    public bool IsSamePlace(IReadOnlyDictionary<string, string> one, IReadOnlyDictionary<string, string> other) =>
        Fields.Where(f => f.IsPlace).All(f => one.GetValueOrDefault(f.Name) == other.GetValueOrDefault(f.Name));

    public bool IsSecret(string field) => Fields.Any(f => f.Name == field && f.Kind == ConnectorFieldKind.Secret);

    /// <summary>A setting that can't be right.</summary>
    public static StorageException Invalid(string message) => new(StorageError.InvalidArgument, message);
}

/// <summary>One thing that a connector has to be told.</summary>
/// <param name="Name">Lower case with dashes, as a flag of the command line.</param>
/// <param name="Help">One sentence.</param>
/// <param name="Default">What it is where nothing is said; null for nothing.</param>
/// <param name="Choices">For <see cref="ConnectorFieldKind.Choice"/>.</param>
/// <param name="IsPlace">It says which place it is: with another value it is another place, where nothing is yet of what is in this one.</param>
/// <param name="Min">For <see cref="ConnectorFieldKind.Number"/>, as is <paramref name="Max"/>.</param>
public sealed record ConnectorField(
    string Name, string Help, ConnectorFieldKind Kind = ConnectorFieldKind.Text, bool IsRequired = false, string? Default = null, ImmutableArray<string> Choices = default, long Min = 0, long Max = long.MaxValue,
    bool IsPlace = false)
{
    /// <returns>What is wrong with a value, as a sentence; null where nothing is.</returns>
    public string? WhyNot(string value)
    {
        if (value.Length > ConnectorType.ValueLengthMax) return $"{ConnectorType.ValueLengthMax} characters at most.";
        if (value.Any(c => char.IsControl(c) && !(Kind == ConnectorFieldKind.Secret && c is '\n' or '\r' or '\t'))) return "No control characters.";
        return Kind switch
        {
            ConnectorFieldKind.Number when !long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number < Min || number > Max => $"A whole number from {Min} to {Max}.",
            ConnectorFieldKind.Flag when value is not ("true" or "false") => "true or false.",
            ConnectorFieldKind.Choice when !Choices.Contains(value) => $"One of {string.Join(", ", Choices)}.",
            ConnectorFieldKind.Path when !System.IO.Path.IsPathFullyQualified(value) => "An absolute path.",
            ConnectorFieldKind.Url when !IsUrl(value) => "http:// or https://, without a user's name, a query or a fragment.",
            _ => null,
        };
    }

    private static bool IsUrl(string value) => Uri.TryCreate(value, UriKind.Absolute, out var url)
        && url.Scheme is "http" or "https" && url.UserInfo.Length == 0 && url.Query.Length == 0 && url.Fragment.Length == 0 && url.Host.Length > 0;
}

public enum ConnectorFieldKind : byte
{
    Text,

    /// <summary>Sealed at rest, and never shown again.</summary>
    Secret,

    /// <summary>A whole number.</summary>
    Number,

    Flag,
    Choice,

    /// <summary>An absolute path on the nodes.</summary>
    Path,

    Url,
}

/// <summary>A well-known place: values of fields that are the same for everybody there.</summary>
/// <param name="Help">What remains to be said, and where to find it.</param>
public sealed record ConnectorPreset(string Name, string Title, string Help, ImmutableSortedDictionary<string, string> Values)
{
    /// <summary>Fields without which it would be another place than the preset is for.</summary>
    public ImmutableArray<string> Requires { get; init; } = [];
}
