using System.Reflection;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// The grain classes of the program: of the entry assembly, of what is loaded, and of all that these refer to, loaded or not, as far
/// as they refer to this engine. It stands in for the metadata that Orleans' source generator leaves in each assembly.
/// </summary>
internal sealed class GrainTypes
{
    private readonly Dictionary<GrainType, GrainClass> _classes = [];

    public GrainTypes()
    {
        foreach (var type in Assemblies().SelectMany(a => a.GetTypes()).Where(IsGrainClass))
        {
            var grainType = NameOf(type);
            if (_classes.TryGetValue(grainType, out var other))
                throw new OrleansConfigurationException($"{type} and {other.Type} are both grain type \"{grainType}\": give one a [GrainType]");
            _classes.Add(grainType, new(type, grainType));
        }
    }

    public GrainClass? Find(GrainType type) => _classes.GetValueOrDefault(type);

    /// <summary>The class behind an interface: the only one, or the one named as the interface is, less its I.</summary>
    public GrainType Resolve(Type grainInterface, string? classNamePrefix)
    {
        var candidates = _classes.Values.Where(c => c.Interfaces.Contains(grainInterface)).ToArray();
        if (candidates.Length == 0)
            throw new ArgumentException($"Could not find an implementation for interface {grainInterface}");
        if (!string.IsNullOrEmpty(classNamePrefix))
            candidates = [.. candidates.Where(c => c.Type.FullName!.StartsWith(classNamePrefix, StringComparison.Ordinal))];
        if (candidates is [var only]) return only.GrainType;
        if (candidates.FirstOrDefault(c => "I" + c.Type.Name == grainInterface.Name) is { } namesake) return namesake.GrainType;
        throw new ArgumentException(
            $"Unable to identify a single grain class for interface {grainInterface}: {string.Join(", ", candidates.Select(c => c.Type))}");
    }

    private static bool IsGrainClass(Type type) => type is { IsClass: true, IsAbstract: false, ContainsGenericParameters: false }
        && typeof(IGrain).IsAssignableFrom(type) && !typeof(GrainReference).IsAssignableFrom(type);

    /// <summary>Orleans' rule: the class' name in lower case, less a final "grain".</summary>
    private static GrainType NameOf(Type type)
    {
        if (type.GetCustomAttribute<GrainTypeAttribute>() is { } named) return named.GetGrainType(null!, type);
#pragma warning disable CA1308 // Lower case is what the name in storage is.
        var name = type.Name.ToLowerInvariant();
#pragma warning restore CA1308
        return GrainType.Create(name.EndsWith("grain", StringComparison.Ordinal) && name.Length > 5 ? name[..^5] : name);
    }

    public static IEnumerable<Assembly> Assemblies()
    {
        var engine = typeof(GrainTypes).Assembly;
        var seen = new HashSet<string> { engine.FullName! };
        var queue = new Queue<Assembly>(AppDomain.CurrentDomain.GetAssemblies().Where(a => !a.IsDynamic));
        if (Assembly.GetEntryAssembly() is { } entry) queue.Enqueue(entry);
        yield return engine;
        while (queue.TryDequeue(out var assembly))
        {
            if (!seen.Add(assembly.FullName!)) continue;
            var references = assembly.GetReferencedAssemblies();
            if (references.Any(r => r.Name == engine.GetName().Name)) yield return assembly;
            foreach (var reference in references)
            {
                if (seen.Contains(reference.FullName) || IsFramework(reference.Name!)) continue;
                try
                {
                    queue.Enqueue(Assembly.Load(reference));
                }
                catch (Exception error) when (error is FileNotFoundException or FileLoadException or BadImageFormatException)
                {
                    seen.Add(reference.FullName);   // not deployed, so nothing of it can be a grain
                }
            }
        }
    }

    private static bool IsFramework(string name) => name is "netstandard" or "mscorlib" or "System"
        || name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal);
}
