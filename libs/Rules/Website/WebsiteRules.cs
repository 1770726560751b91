namespace DarkStorage.Rules.Website;

/// <summary>What a website does with a request, as far as its configuration says; what is there, and who may read it, its caller finds out.</summary>
/// <remarks>The order of AWS: everything redirected, else a rule for the key, else the object, its index document, and where that fails, a rule for the failure, and last the
/// error document.</remarks>
public static class WebsiteRules
{
    private const int MovedPermanently = 301;
    private const int Found = 302;

    /// <summary>Where a request is sent before anything is looked for.</summary>
    /// <param name="key">The path without its first slash, unescaped.</param>
    /// <returns>Null where the object is to be looked for.</returns>
    public static WebsiteRedirect? Before(this WebsiteConfiguration site, string key)
    {
        if (site.RedirectAll is { } all) return new(all.Status ?? MovedPermanently, all.Protocol, all.Host, key);
        return site.Find(key, null);
    }

    /// <summary>The object that a path stands for: itself, or where it ends with a slash, the index document there.</summary>
    public static string KeyOf(this WebsiteConfiguration site, string key) => key.Length == 0 || key[^1] == '/' ? key + site.IndexSuffix : key;

    /// <summary>The index document of a path that lacks its last slash: where it is there, the browser is to ask for the folder.</summary>
    /// <returns>Null where the path can't be that of a folder.</returns>
    public static string? FolderIndexOf(this WebsiteConfiguration site, string key) => key.Length == 0 || key[^1] == '/' ? null : $"{key}/{site.IndexSuffix}";

    /// <summary>To the folder of the same name, whose relative links then lead into it.</summary>
    public static WebsiteRedirect ToFolder(string key) => new(Found, null, null, key + "/");

    /// <summary>Where a request is sent whose answer would be an error.</summary>
    /// <returns>Null where the error is the answer.</returns>
    public static WebsiteRedirect? After(this WebsiteConfiguration site, string key, int status) => site.Find(key, status);

    /// <summary>The object that is sent in place of an error's own page.</summary>
    /// <returns>Null where there is none, or the fault is not the request's.</returns>
    public static string? ErrorKeyOf(this WebsiteConfiguration site, int status) => status is >= 400 and < 500 ? site.ErrorKey : null;

    /// <summary>The first rule counts, and of its conditions both where it has both.</summary>
    private static WebsiteRedirect? Find(this WebsiteConfiguration site, string key, int? status)
    {
        foreach (var (prefix, errorStatus, redirect) in site.Rules)
        {
            if (errorStatus != status || !key.StartsWith(prefix ?? "", StringComparison.Ordinal)) continue;
            var target = redirect.Key ?? (redirect.KeyPrefix is { } with ? with + key[(prefix ?? "").Length..] : key);
            return new(redirect.Status ?? MovedPermanently, redirect.Protocol, redirect.Host, target);
        }
        return null;
    }
}

/// <summary>Where a browser is sent.</summary>
/// <param name="Protocol">http or https; null for the request's own, as is the host.</param>
/// <param name="Key">Unescaped, without the path's first slash.</param>
public sealed record WebsiteRedirect(int Status, string? Protocol, string? Host, string Key)
{
    /// <summary>The Location header. Within the same site it is a path alone, so that a proxy in front may speak another protocol than we do.</summary>
    /// <param name="scheme">Of the request, as is <paramref name="host"/>.</param>
    public string Location(string scheme, string host)
    {
        var path = Uri.EscapeDataString(Key).Replace("%2F", "/", StringComparison.Ordinal);
        if (Protocol is not null || Host is not null) return $"{Protocol ?? scheme}://{Host ?? host}/{path}";
        // Two slashes at the front would be another host, of whoever made the link.
        return path.StartsWith('/') ? $"/%2F{path[1..]}" : $"/{path}";
    }
}
