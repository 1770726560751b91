namespace DarkStorage.Silo.Configuration;

/// <summary>A secret that the operator gives: in a variable of the environment, or in a file that the variable of that name with <c>_FILE</c> at its end names. What service managers and
/// orchestrators hand over as files need not pass through an environment, which any process of the same user can read.</summary>
internal static class SecretVariable
{
    /// <returns>A file's content without the white space around it; null where there is neither, or it is empty.</returns>
    /// <exception cref="InvalidDataException">Both are there.</exception>
    /// <exception cref="IOException">The file can't be read.</exception>
    public static string? Read(string name)
    {
        var (text, file) = (Environment.GetEnvironmentVariable(name), Environment.GetEnvironmentVariable(name + "_FILE"));
        if (string.IsNullOrEmpty(file)) return string.IsNullOrEmpty(text) ? null : text;
        if (!string.IsNullOrEmpty(text)) throw new InvalidDataException($"{name} and {name}_FILE are one or the other.");
        return File.ReadAllText(file).Trim() is { Length: > 0 } content ? content : null;
    }
}
