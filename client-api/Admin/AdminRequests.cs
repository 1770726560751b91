using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.ClientApi.S3;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.Admin;

/// <summary>What requests of the admin API have in common.</summary>
internal static class AdminRequests
{
    private const int BodyBytesMax = 256 << 10;

    /// <summary>A field that nobody knows is a slip of writing, and what it was to say would be left out.</summary>
    private static readonly JsonSerializerOptions Strict = new(JsonSerializerOptions.Web) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, AllowDuplicateProperties = false };

    public static readonly (int, object) Unauthorized =
        (StatusCodes.Status401Unauthorized, new { error = "An administrator's access key and secret key are wanted, by Basic authentication." });

    public static (int, object) Refused(string error) => (StatusCodes.Status400BadRequest, new { error });

    /// <summary>What users, accounts and access keys may be called.</summary>
    public static bool IsName(string text) => text.Length is >= 3 and <= 128 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    /// <returns>What JSON calls a value.</returns>
    public static string WordOf<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    /// <exception cref="JsonException">The body is not the JSON that is wanted, has fields of other names or one twice, or is too long.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext http, CancellationToken ct)
    {
        if (http.Request.ContentLength is null or > BodyBytesMax) throw new JsonException($"A Content-Length of at most {BodyBytesMax} is wanted.");
        return await JsonSerializer.DeserializeAsync<T>(http.Request.Body, Strict, ct) ?? throw new JsonException("It is null.");
    }

    /// <summary>Basic authentication with the key pair of root or of an administrator.</summary>
    public static async ValueTask<bool> IsAdministratorAsync(this Credentials credentials, HttpContext http, CancellationToken ct)
    {
        const string scheme = "Basic ";
        var authorization = http.Request.Headers.Authorization.ToString();
        if (!authorization.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)) return false;
        var given = new byte[authorization.Length];
        if (!Convert.TryFromBase64Chars(authorization.AsSpan(scheme.Length), given, out var length)) return false;
        var pair = Encoding.UTF8.GetString(given, 0, length);
        var colon = pair.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && await credentials.IsAdministratorAsync(pair[..colon], pair[(colon + 1)..], ct);
    }
}
