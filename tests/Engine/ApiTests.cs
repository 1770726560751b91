#if EMBEDDED_ENGINE
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace DarkStorage.Engine.Tests;

/// <summary>
/// Holds the embedded engine's public surface against a list of Orleans' own (Api/orleans-api.txt: made by reflection, cut down to the
/// types that the engine has). The engine may lack a member; it may not have one that Orleans does not have.
/// </summary>
public sealed class ApiTests
{
    private static readonly Dictionary<string, string> Keywords = new()
    {
        ["Void"] = "void", ["String"] = "string", ["Object"] = "object", ["Boolean"] = "bool", ["Int32"] = "int", ["Int64"] = "long",
    };

    /// <summary>What the engine has of its own: settings for which the packages of Orleans that the project uses have no public type.</summary>
    private static readonly Type[] Own = [typeof(SiloConnectionOptions), typeof(SiloTlsOptions), typeof(SiloTlsExtensions)];

    public static TheoryData<string> Types => [.. Assembly().GetExportedTypes().Except(Own).Select(t => t.FullName!)];

    [Fact]
    public void Every_public_type_is_in_a_namespace_of_Orleans() =>
        Assert.All(Assembly().GetExportedTypes().Except(Own), type => Assert.True(
            type.Namespace!.StartsWith("Orleans", StringComparison.Ordinal) || type.Namespace == "Microsoft.Extensions.Hosting", type.FullName));

    [Theory]
    [MemberData(nameof(Types))]
    public void A_public_type_has_nothing_that_the_type_in_Orleans_has_not(string typeName)
    {
        var type = Assembly().GetType(typeName)!;
        var listed = Read();
        Assert.True(listed.TryGetValue(FullName(type), out var block), $"Orleans has no {FullName(type)}");
        Assert.Equal(block.Kind, Kind(type));
        if (!typeof(Delegate).IsAssignableFrom(type)) Assert.Empty(Bases(type).Except(block.Bases));
        Assert.All(Members(type), member => Assert.True(block.Members.Any(m => IsOffered(member, m)), $"Orleans has no {member}"));
    }

    private static Assembly Assembly() => typeof(Grain).Assembly;

    /// <summary>The same member, or a property with fewer accessors.</summary>
    private static bool IsOffered(string member, string listed) => member == listed || member.Replace("{ get; }", "{ get; set; }", StringComparison.Ordinal) == listed;

    // ---- The engine, written as the list is.

    private static string Kind(Type type) =>
        type.IsInterface ? "interface" : type.IsEnum ? "enum" : type.IsValueType ? "struct"
        : typeof(Delegate).IsAssignableFrom(type) ? "delegate"
        : type is { IsAbstract: true, IsSealed: true } ? "static class" : type.IsAbstract ? "abstract class"
        : type.IsSealed ? "sealed class" : "class";

    private static IEnumerable<string> Bases(Type type)
    {
        if (type.IsEnum) yield break;
        if (type.BaseType is { } parent && parent != typeof(object) && parent != typeof(ValueType)) yield return Name(parent);
        foreach (var contract in type.GetInterfaces())
        {
            // What the base class has is not said again, except of a class' own; ISerializable is on every exception.
            if (type.BaseType?.GetInterfaces().Contains(contract) == true || contract.Name == "ISerializable") continue;
            yield return Name(contract);
        }
    }

    private static IEnumerable<string> Members(Type type)
    {
        const BindingFlags all = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        if (type.IsEnum)
        {
            yield return string.Join(", ", Enum.GetNames(type));
            yield break;
        }

        foreach (var constructor in type.GetConstructors(all).Where(IsVisible))
            yield return $"{Access(constructor)}.ctor({Parameters(constructor)})";
        foreach (var property in type.GetProperties(all))
        {
            var accessors = new[] { property.GetMethod, property.SetMethod }.Where(m => m is not null && IsVisible(m)).ToArray();
            if (accessors.Length == 0) continue;
            var shape = string.Concat(accessors.Select(m => m == property.GetMethod ? "get; " : "set; "));
            yield return $"{Access(accessors[0]!)}{Static(accessors[0]!)}{Name(property.PropertyType)} {property.Name} {{ {shape}}}";
        }

        foreach (var method in type.GetMethods(all))
        {
            if (!IsVisible(method) || method.IsSpecialName || method.GetBaseDefinition().DeclaringType == typeof(object)) continue;
            var generics = method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "";
            yield return $"{Access(method)}{Static(method)}{Name(method.ReturnType)} {method.Name}{generics}({Parameters(method)})";
        }
    }

    private static bool IsVisible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static string Access(MethodBase method) => method.IsPublic ? "public " : "protected ";

    private static string Static(MethodBase method) => method.IsStatic ? "static " : "";

    private static string Parameters(MethodBase method)
    {
        var isExtension = method.IsDefined(typeof(ExtensionAttribute));
        return string.Join(", ", method.GetParameters().Select((p, i) =>
        {
            var prefix = isExtension && i == 0 ? "this " : p.IsDefined(typeof(ParamArrayAttribute)) ? "params " : p.IsOut ? "out " : "";
            var type = p.ParameterType.IsByRef ? p.ParameterType.GetElementType()! : p.ParameterType;
            return $"{prefix}{Name(type)} {p.Name}{(p.HasDefaultValue ? $" = {Default(p.DefaultValue)}" : "")}";
        }));
    }

    private static string Default(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static string FullName(Type type) => $"{type.Namespace}.{Name(type)}";

    private static string Name(Type type)
    {
        if (type.IsArray) return Name(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter) return type.Name;
        var name = type.Name.Split('`')[0];
        if (type.DeclaringType is { } outer) name = $"{Name(outer)}.{name}";
        if (type.IsGenericType) name += $"<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
        return type.Namespace == "System" && Keywords.TryGetValue(name, out var keyword) ? keyword : name;
    }

    // ---- The list.

    private static Dictionary<string, Block> Read()
    {
        using var stream = typeof(ApiTests).Assembly.GetManifestResourceStream("orleans-api.txt")!;
        using var reader = new StreamReader(stream);
        var blocks = new Dictionary<string, Block>();
        Block? block = null;
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (line[0] == ' ')
            {
                block!.Members.Add(line.Trim()
                    .Replace("virtual ", "", StringComparison.Ordinal).Replace("abstract ", "", StringComparison.Ordinal)
                    .Replace("  [obsolete]", "", StringComparison.Ordinal));
                continue;
            }

            var (head, bases) = line.Split(" : ") is [var h, var b] ? (h, b) : (line, "");
            var split = Kinds.First(kind => head.StartsWith(kind + " ", StringComparison.Ordinal));
            block = new(split, SplitBases(bases), []);
            blocks.Add(head[(split.Length + 1)..], block);
        }

        return blocks;
    }

    private static readonly string[] Kinds =
        ["static class", "abstract class", "sealed class", "class", "struct", "interface", "enum", "delegate"];

    private static string[] SplitBases(string bases)
    {
        var result = new List<string>();
        var (depth, start) = (0, 0);
        for (var i = 0; i <= bases.Length; i++)
        {
            if (i < bases.Length && bases[i] is '<' or '>') depth += bases[i] == '<' ? 1 : -1;
            if ((i < bases.Length && bases[i] != ',') || depth > 0) continue;
            result.Add(bases[start..i].Trim());
            start = i + 1;
        }

        return [.. result];
    }

    private sealed record Block(string Kind, string[] Bases, List<string> Members);
}
#endif
