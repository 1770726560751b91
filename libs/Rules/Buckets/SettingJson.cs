using System.Text.Json;
using System.Text.Json.Serialization;

namespace DarkStorage.Rules.Buckets;

/// <summary>How settings are kept: JSON, members in camel case, enumerations by name, what is null left out.</summary>
public static class SettingJson
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    public static string Write<T>(T setting) => JsonSerializer.Serialize(setting, Options);

    /// <exception cref="JsonException">The document is not what <see cref="Write"/> makes.</exception>
    public static T Read<T>(string document) => JsonSerializer.Deserialize<T>(document, Options) ?? throw new JsonException("The document is null.");
}
